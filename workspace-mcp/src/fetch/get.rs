//! The request, hop by hop: each address is checked anew.

use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use ureq::http::{Response, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy};
use url::Url;

use super::names::Names;
use super::target::{check, proxy};
use crate::error::{Code, Problem, Result};
use crate::stop::Stop;
use crate::text::human;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
const AGENT: &str = concat!("workspace-mcp/", env!("CARGO_PKG_VERSION"));
const ACCEPT: &str = "text/markdown, text/html;q=0.9, text/plain;q=0.9, */*;q=0.5";
/// Where systems keep the certificates that they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// What came back.
#[derive(Debug)]
pub struct Got {
    /// Where it was in the end.
    pub url: Url,
    /// HTTP status.
    pub status: u16,
    /// Media type without parameters, in small letters; empty when it is not said.
    pub kind: String,
    /// Character set of the header.
    pub charset: Option<String>,
    /// The content.
    pub body: Vec<u8>,
}

/// Fetches a URL of at most `max` bytes within `time`.
///
/// # Errors
/// `address_refused`, `fetch_failed`, `too_large`, `timed_out`, `cancelled`.
pub fn get(url: &str, max: u64, time: Duration, stop: &Stop) -> Result<Got> {
    let until = Instant::now() + time;
    let mut url = check(url)?;
    for _ in 0..=MAX_REDIRECTS {
        stop.check()?;
        let response = hop(&url, until.saturating_duration_since(Instant::now()))?;
        match next(&url, &response)? {
            Some(next) => url = next,
            None => return take(url, response, max, stop),
        }
    }
    Err(Problem::new(Code::FetchFailed, format!("more than {MAX_REDIRECTS} redirects, the last to {url}"))
        .field("url"))
}

fn hop(url: &Url, time: Duration) -> Result<Response<Body>> {
    let proxy = proxy(url, |name| std::env::var(name).ok());
    let names = Names::new(Handle::current(), proxy.is_none());
    let proxy = proxy.map(|proxy| Proxy::new(&proxy)).transpose();
    let proxy =
        proxy.map_err(|_| Problem::new(Code::FetchFailed, "the proxy of the environment is no URL"))?;
    let config = Agent::config_builder()
        .proxy(proxy)
        .timeout_global(Some(time))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .tls_config(TlsConfig::builder().root_certs(roots()).build())
        .user_agent(AGENT)
        .accept(ACCEPT)
        .build();
    let agent = Agent::with_parts(config, DefaultConnector::default(), names.clone());
    agent.get(url.as_str()).call().map_err(|error| names.problem().unwrap_or_else(|| problem(url, &error)))
}

/// Certificates of the system, or where it has none those of Mozilla that this program brings along.
fn roots() -> RootCerts {
    let given = std::env::var("SSL_CERT_FILE").ok();
    let places = given.as_deref().into_iter().chain(BUNDLES);
    for place in places {
        let Ok(text) = fs::read(place) else { continue };
        let found: Vec<Certificate<'static>> = parse_pem(&text)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if !found.is_empty() {
            return RootCerts::new_with_certs(&found);
        }
    }
    RootCerts::WebPki
}

/// Where a redirect leads.
fn next(url: &Url, response: &Response<Body>) -> Result<Option<Url>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(place) = response.headers().get(header::LOCATION) else { return Ok(None) };
    let place = String::from_utf8_lossy(place.as_bytes());
    let joined = url.join(&place).map_err(|error| {
        Problem::new(Code::FetchFailed, format!("{url} redirects to what is no URL: {error}")).field("url")
    })?;
    let told = |problem: Problem| {
        let message = format!("{url} redirects: {}", problem.message);
        Problem { message, ..problem }
    };
    check(joined.as_str()).map(Some).map_err(told)
}

fn take(url: Url, response: Response<Body>, max: u64, stop: &Stop) -> Result<Got> {
    let status = response.status().as_u16();
    let kind = response.body().mime_type().unwrap_or_default().to_ascii_lowercase();
    let charset = response.body().charset().map(str::to_owned);
    let length = response.body().content_length();
    let too_large = |size: &str| {
        Problem::new(Code::TooLarge, format!("{url} has {size} bytes, the limit is {max}"))
            .field("max_bytes")
            .hint("raise max_bytes (at most 64 MB), or fetch it with curl and run_command")
    };
    if let Some(length) = length.filter(|length| *length > max) {
        return Err(too_large(&length.to_string()));
    }
    let mut reader = response.into_body().into_with_config().limit(u64::MAX).reader();
    let (mut body, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        stop.check()?;
        let count = reader.read(&mut chunk).map_err(|error| failed(&url, &error, body.len()))?;
        if count == 0 {
            return Ok(Got { url, status, kind, charset, body });
        }
        // Counted after unpacking: a small answer may unpack to a large one.
        if (body.len() + count) as u64 > max {
            return Err(too_large("more"));
        }
        body.extend_from_slice(&chunk[..count]);
    }
}

fn failed(url: &Url, error: &std::io::Error, so_far: usize) -> Problem {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match inner {
        Some(error) => problem(url, error),
        None if error.kind() == std::io::ErrorKind::TimedOut => late(url),
        None => {
            let message = format!("{url} broke off after {}: {error}", human(so_far as u64));
            Problem::new(Code::FetchFailed, message).field("url")
        }
    }
}

fn problem(url: &Url, error: &ureq::Error) -> Problem {
    match error {
        ureq::Error::Timeout(_) => late(url),
        error => Problem::new(Code::FetchFailed, format!("{url}: {error}")).field("url"),
    }
}

fn late(url: &Url) -> Problem {
    Problem::new(Code::TimedOut, format!("{url} did not answer in time"))
        .field("timeout_seconds")
        .hint("try again later, or with a longer timeout_seconds")
}
