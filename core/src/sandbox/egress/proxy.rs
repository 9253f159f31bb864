//! The proxy of an allowlist: `CONNECT` tunnels and plain HTTP requests, to named hosts only.
//!
//! Names are resolved here and checked after resolving, so that a name that points to a private address leads nowhere.
//! A tunnel to port 443 must begin with TLS for the very host that was asked for. A plain request gets a connection of
//! its own, so that a second one cannot ride on it to another host.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use sandboxed_domain::sandbox::AllowRule;
use sandboxed_domain::sandbox::egress::{Allowed, allowed, is_public};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::process::PidFd;
use super::Ready;
use super::hello::{self, Hello};

/// Connections at once; more wait.
const CONNECTIONS: usize = 256;
/// Most bytes of a request's head.
const HEAD: usize = 32 << 10;
/// How long a client may take to say what it wants.
const ASK_TIME: Duration = Duration::from_secs(30);
/// How long a host may take to be connected to.
const CONNECT_TIME: Duration = Duration::from_secs(15);

/// See [`super::run`].
pub(super) fn run(
    owner: PidFd,
    mut ready: Ready,
    listener: OwnedFd,
    rules: Vec<AllowRule>,
) -> Result<(), String> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ready.refuse(format!("runtime: {error}")),
    };
    runtime.block_on(async move {
        let listener = std::net::TcpListener::from(listener);
        let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return ready.refuse(format!("listener: {error}")),
        };
        ready.say();
        tokio::select! {
            () = serve(listener, Arc::new(rules)) => Ok(()),
            ended = owner.ended() => ended.map_err(|error| format!("pidfd: {error}")),
        }
    })
}

async fn serve(listener: TcpListener, rules: Arc<Vec<AllowRule>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((client, _)) = listener.accept().await else { continue };
        let rules = Arc::clone(&rules);
        tokio::spawn(async move {
            // A client that breaks off is nobody's business but its own.
            if let Err(error) = connection(client, &rules).await {
                tracing::debug!(%error, "connection");
            }
            drop(place);
        });
    }
}

/// Why a request is not carried out, as the client is told.
struct Refusal(u16, String);

async fn connection(mut client: TcpStream, rules: &[AllowRule]) -> io::Result<()> {
    let head = match timeout(ASK_TIME, read_head(&mut client)).await {
        Ok(head) => head?,
        Err(_) => return Ok(()),
    };
    let result = match parse(&head) {
        Ok(Request::Tunnel { host, port, rest }) => tunnel(&mut client, rules, &host, port, rest).await,
        Ok(Request::Plain { host, port, bytes }) => plain(&mut client, rules, &host, port, bytes).await,
        Err(refusal) => Ok(Err(refusal)),
    };
    if let Err(Refusal(status, why)) = result? {
        let body = format!("sandboxed-sh: {why}\n");
        let answer = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            if status == 403 {
                "Forbidden"
            } else if status == 400 {
                "Bad Request"
            } else {
                "Bad Gateway"
            },
            body.len()
        );
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await?;
    }
    Ok(())
}

/// Everything up to the empty line, and what came with it.
async fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= HEAD || client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}

enum Request {
    Tunnel { host: String, port: u16, rest: Vec<u8> },
    Plain { host: String, port: u16, bytes: Vec<u8> },
}

fn parse(head: &[u8]) -> Result<Request, Refusal> {
    let bad = |why: &str| Refusal(400, why.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(end)) = request.parse(head) else {
        return Err(bad("not an HTTP request"));
    };
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    if method == "CONNECT" {
        let (host, port) = authority(target, None).ok_or_else(|| bad("CONNECT wants host:port"))?;
        return Ok(Request::Tunnel { host, port, rest: head[end..].to_vec() });
    }
    let rest =
        target.strip_prefix("http://").ok_or_else(|| bad("this is a proxy: it wants http://host/path"))?;
    let (name, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = authority(name, Some(80)).ok_or_else(|| bad("no host in the request"))?;
    let mut bytes =
        format!("{method} {}{path} HTTP/1.1\r\n", if path.starts_with('/') { "" } else { "/" }).into_bytes();
    for header in request.headers.iter() {
        let name = header.name.to_ascii_lowercase();
        let hop = ["host", "connection", "keep-alive", "upgrade", "te"].contains(&name.as_str());
        if !hop && !name.starts_with("proxy-") {
            bytes.extend([header.name.as_bytes(), b": ", header.value, b"\r\n"].concat());
        }
    }
    bytes.extend(format!("Host: {name}\r\nConnection: close\r\n\r\n").into_bytes());
    bytes.extend(&head[end..]);
    Ok(Request::Plain { host, port, bytes })
}

/// `host:port`, `[v6]:port`; user names are refused.
fn authority(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    let uri: axum::http::uri::Authority = text.parse().ok()?;
    let port = uri.port_u16().or(default)?;
    (!text.contains('@') && !uri.host().is_empty()).then(|| (uri.host().to_owned(), port))
}

/// Connects to a host that the rules let through.
async fn connect(rules: &[AllowRule], host: &str, port: u16) -> Result<TcpStream, Refusal> {
    let way = allowed(rules, host, port)
        .ok_or_else(|| Refusal(403, format!("{host}:{port} is not on the allowlist of this workspace")))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(CONNECT_TIME, lookup_host((bare, port))).await;
    let Ok(Ok(found)) = found else { return Err(Refusal(502, format!("{host} is not found"))) };
    let usable = |address: &SocketAddr| way == Allowed::AsNamed || is_public(address.ip());
    let addresses: Vec<SocketAddr> = found.filter(usable).collect();
    if addresses.is_empty() {
        return Err(Refusal(403, format!("{host} has no public address")));
    }
    match timeout(CONNECT_TIME, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Refusal(502, format!("{host}:{port}: {error}"))),
        Err(_) => Err(Refusal(502, format!("{host}:{port} does not answer"))),
    }
}

async fn tunnel(
    client: &mut TcpStream,
    rules: &[AllowRule],
    host: &str,
    port: u16,
    rest: Vec<u8>,
) -> io::Result<Result<(), Refusal>> {
    let mut server = match connect(rules, host, port).await {
        Ok(server) => server,
        Err(refusal) => return Ok(Err(refusal)),
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let first = match timeout(ASK_TIME, first_bytes(client, rest, port)).await {
        Ok(first) => first?,
        Err(_) => return Ok(Ok(())),
    };
    if port == 443 && !asks_for(&first, host) {
        // The answer to CONNECT is out: all that is left is to hang up.
        return Ok(Ok(()));
    }
    server.write_all(&first).await?;
    copy_bidirectional(client, &mut server).await?;
    Ok(Ok(()))
}

/// For port 443 the whole ClientHello; otherwise what came already.
async fn first_bytes(client: &mut TcpStream, mut bytes: Vec<u8>, port: u16) -> io::Result<Vec<u8>> {
    while port == 443 && hello::read(&bytes) == Hello::Incomplete {
        if client.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok(bytes)
}

fn asks_for(bytes: &[u8], host: &str) -> bool {
    match hello::read(bytes) {
        Hello::Tls(Some(name)) => name.trim_end_matches('.').eq_ignore_ascii_case(host.trim_end_matches('.')),
        // An address has no name to ask for.
        Hello::Tls(None) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok(),
        Hello::Incomplete | Hello::Other => false,
    }
}

async fn plain(
    client: &mut TcpStream,
    rules: &[AllowRule],
    host: &str,
    port: u16,
    bytes: Vec<u8>,
) -> io::Result<Result<(), Refusal>> {
    let mut server = match connect(rules, host, port).await {
        Ok(server) => server,
        Err(refusal) => return Ok(Err(refusal)),
    };
    server.write_all(&bytes).await?;
    copy_bidirectional(client, &mut server).await?;
    Ok(Ok(()))
}
