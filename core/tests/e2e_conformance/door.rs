//! The suite knows no tokens: a door before a server, which shows the token and passes all else on as it is.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Door {
    client: reqwest::Client,
    behind: String,
    token: String,
}

/// Opens a door before the server at `behind` (`http://host:port`); its address.
pub async fn open(behind: &str, token: &str) -> SocketAddr {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let door = Door { client, behind: behind.to_owned(), token: token.to_owned() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(pass).with_state(door);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn pass(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let sent = door
        .client
        .request(parts.method, format!("{}{path}", door.behind))
        // Host and Origin too: what the server thinks of them is asked.
        .headers(parts.headers)
        .bearer_auth(&door.token)
        .body(body)
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let mut response = Response::builder().status(answer.status());
            *response.headers_mut().unwrap() = answer.headers().clone();
            response.body(Body::from_stream(answer.bytes_stream())).unwrap()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
