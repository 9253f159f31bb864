//! A proxy that passes on what it is asked for and writes it down: for programs that shall come to the network by it
//! alone. It answers absolute-form requests without a body and `CONNECT`, and wants a name and a password. Where the
//! machine itself comes out only by a proxy, it goes on through that one.
#![expect(clippy::unwrap_used, reason = "helpers of a test may panic as the test may")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
};
use reqwest::{Method, Response, Url};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Longest head of a request or an answer, in bytes.
const HEAD: u64 = 64 << 10;

/// One request, and the status that it was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// `GET`, `CONNECT`.
    pub method: String,
    /// The address, or host and port.
    pub target: String,
    /// What the proxy answered.
    pub status: u16,
}

/// A running proxy on the loopback; ends when dropped, and with it all its connections.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    credentials: String,
    passed: Arc<Mutex<Vec<Passed>>>,
    serving: AbortHandle,
}

impl ForwardProxy {
    /// One that lets in who has these `name:password`, and goes on by `next`, a proxy's address.
    pub async fn start(credentials: &str, next: Option<Url>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = match &next {
            Some(next) => client.proxy(reqwest::Proxy::all(next.clone()).unwrap()),
            None => client,
        };
        let passed = Arc::default();
        let way = Arc::new(Way {
            client: client.build().unwrap(),
            next,
            wanted: basic(credentials),
            passed: Arc::clone(&passed),
        });
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let way = Arc::clone(&way);
                // How a connection ends is its client's affair.
                connections.spawn(async move { way.serve(BufReader::new(stream)).await.is_ok() });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, credentials: credentials.to_owned(), passed, serving: serving.abort_handle() }
    }

    /// Its address with name and password.
    pub fn url(&self) -> String {
        format!("http://{}@{}", self.credentials, self.address)
    }

    /// What it was asked for so far.
    pub fn passed(&self) -> Vec<Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What all connections share.
struct Way {
    client: reqwest::Client,
    next: Option<Url>,
    wanted: String,
    passed: Arc<Mutex<Vec<Passed>>>,
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

impl Way {
    /// One connection: its requests, one after the other.
    async fn serve(&self, mut stream: BufReader<TcpStream>) -> io::Result<()> {
        loop {
            let (first, headers) = head(&mut stream).await?;
            let mut words = first.split(' ');
            let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
            let note = |status: u16| {
                let one = Passed { method: method.to_owned(), target: target.to_owned(), status };
                self.passed.lock().unwrap_or_else(PoisonError::into_inner).push(one);
            };
            if headers.get(PROXY_AUTHORIZATION).is_none_or(|said| said.as_bytes() != self.wanted.as_bytes()) {
                note(407);
                stream.write_all(&refusal(407)).await?;
            } else if method == "CONNECT" {
                let mut far = match self.connect(target).await {
                    Ok(far) => far,
                    Err(_) => {
                        note(502);
                        return stream.write_all(&refusal(502)).await;
                    }
                };
                note(200);
                stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
                return copy_bidirectional(&mut stream, &mut far).await.map(drop);
            } else {
                let sent = self.pass(method, target, headers).await;
                let Some(answer) = sent else {
                    note(502);
                    stream.write_all(&refusal(502)).await?;
                    continue;
                };
                note(answer.status().as_u16());
                if !give(answer, &mut stream).await? {
                    return Ok(());
                }
            }
        }
    }

    async fn pass(&self, method: &str, target: &str, mut headers: HeaderMap) -> Option<Response> {
        for own in [PROXY_AUTHORIZATION, CONNECTION, HOST, HeaderName::from_static("proxy-connection")] {
            headers.remove(own);
        }
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        self.client.request(method, Url::parse(target).ok()?).headers(headers).send().await.ok()
    }

    async fn connect(&self, target: &str) -> io::Result<BufReader<TcpStream>> {
        let Some(next) = &self.next else { return Ok(BufReader::new(TcpStream::connect(target).await?)) };
        let unusable = || io::Error::other("the next proxy does not let it through");
        let host = next.host_str().ok_or_else(unusable)?;
        let port = next.port_or_known_default().ok_or_else(unusable)?;
        let mut stream = BufReader::new(TcpStream::connect((host, port)).await?);
        let credentials = format!("{}:{}", next.username(), next.password().unwrap_or_default());
        let authorization = match credentials.as_str() {
            ":" => String::new(),
            credentials => format!("Proxy-Authorization: {}\r\n", basic(credentials)),
        };
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let (first, _) = head(&mut stream).await?;
        if first.split(' ').nth(1) == Some("200") { Ok(stream) } else { Err(unusable()) }
    }
}

/// The first line and the headers of a request or an answer.
async fn head(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<(String, HeaderMap)> {
    let mut lines = stream.take(HEAD).lines();
    let first = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut headers = HeaderMap::new();
    loop {
        let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok((first, headers));
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(io::Error::other)?);
    }
}

/// Gives an answer to the client; whether the connection can be used further.
async fn give(mut answer: Response, stream: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let mut text = format!("HTTP/1.1 {}\r\n", answer.status());
    for (name, value) in answer.headers() {
        if name != CONNECTION && name != TRANSFER_ENCODING {
            text += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    // A body whose length nobody has told ends with the connection.
    let goes_on = answer.headers().contains_key(CONTENT_LENGTH);
    text += if goes_on { "\r\n" } else { "Connection: close\r\n\r\n" };
    stream.write_all(text.as_bytes()).await?;
    while let Some(part) = answer.chunk().await.map_err(io::Error::other)? {
        stream.write_all(&part).await?;
    }
    Ok(goes_on)
}

fn refusal(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} Not passed\r\nContent-Length: 0\r\n\r\n").into_bytes()
}
