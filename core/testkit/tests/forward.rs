//! The proxy that forwards, alone and before another one.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::Ipv4Addr;

use axum::Router;
use axum::routing::get;
use reqwest::{Client, Proxy, Url};
use sandboxed_testkit::forward::{ForwardProxy, Passed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server with a page; its address.
async fn server() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/page", get(|| async { "a page" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address.to_string()
}

fn passed(method: &str, target: &str, status: u16) -> Passed {
    Passed { method: method.to_owned(), target: target.to_owned(), status }
}

#[tokio::test]
async fn what_is_asked_for_comes_through_both_proxies_and_is_written_down() {
    let server = server().await;
    let far = ForwardProxy::start("far:secret", None).await;
    let near = ForwardProxy::start("near:secret", Some(Url::parse(&far.url()).unwrap())).await;
    let client = Client::builder().proxy(Proxy::all(near.url()).unwrap()).build().unwrap();
    let (page, missing) = (format!("http://{server}/page"), format!("http://{server}/missing"));
    for _ in 0..2 {
        assert_eq!(client.get(&page).send().await.unwrap().text().await.unwrap(), "a page");
    }
    assert_eq!(client.get(&missing).send().await.unwrap().status(), 404);
    let expected = [passed("GET", &page, 200), passed("GET", &page, 200), passed("GET", &missing, 404)];
    assert_eq!(near.passed(), expected);
    assert_eq!(far.passed(), expected);
}

#[tokio::test]
async fn a_tunnel_goes_through_both_proxies() {
    let server = server().await;
    let far = ForwardProxy::start("far:secret", None).await;
    let near = ForwardProxy::start("near:secret", Some(Url::parse(&far.url()).unwrap())).await;
    let address = Url::parse(&near.url()).unwrap();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port().unwrap())).await.unwrap();
    // `near:secret`
    let asked = format!("CONNECT {server} HTTP/1.1\r\nProxy-Authorization: Basic bmVhcjpzZWNyZXQ=\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let wanted = b"HTTP/1.1 200 Connected\r\n\r\n";
    let mut said = vec![0; wanted.len()];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(said, wanted);
    stream.write_all(b"GET /page HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.ends_with("a page"), "{page}");
    assert_eq!(near.passed(), [passed("CONNECT", &server, 200)]);
    assert_eq!(far.passed(), near.passed());
}

#[tokio::test]
async fn who_has_no_password_is_refused_and_what_is_nowhere_is_told() {
    let proxy = ForwardProxy::start("one:secret", None).await;
    let mut address = Url::parse(&proxy.url()).unwrap();
    let nowhere = "http://127.0.0.1:1/";
    let known = Client::builder().proxy(Proxy::all(address.clone()).unwrap()).build().unwrap();
    assert_eq!(known.get(nowhere).send().await.unwrap().status(), 502);
    address.set_password(Some("other")).unwrap();
    let unknown = Client::builder().proxy(Proxy::all(address).unwrap()).build().unwrap();
    assert_eq!(unknown.get(nowhere).send().await.unwrap().status(), 407);
    assert_eq!(proxy.passed(), [passed("GET", nowhere, 502), passed("GET", nowhere, 407)]);
}
