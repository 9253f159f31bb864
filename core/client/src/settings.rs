//! The `SANDBOXED_SH_*` settings that clients and the daemon share.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf, absolute},
    str::FromStr,
};

use sandboxed_domain::api::{ApiError, ErrorCode};

/// Port of the daemon when nobody says otherwise.
pub const DEFAULT_PORT: u16 = 3000;

/// Where the API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Plain HTTP. Never a name to be resolved: clients are also linked statically, without a resolver.
    Tcp(IpAddr, u16),
    /// HTTP over a unix socket; the socket's owner decides who the caller is.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(IpAddr::V6(ip), port) => write!(f, "http://[{ip}]:{port}"),
            Self::Tcp(ip, port) => write!(f, "http://{ip}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who decides whether the daemon behind the endpoint runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The daemon of our own data directory: it is started and replaced as needed.
    Ours,
    /// `SANDBOXED_SH_API_URL` names somebody else's: never started from here.
    Foreign,
}

/// A bearer token. Its text appears in no `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for an `Authorization` header only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where the bearer token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file, read anew for each request so that a rotated token needs no restart.
    File(PathBuf),
    /// Given by the environment.
    Fixed(Token),
}

impl TokenSource {
    /// The token as it is now; `None` when the file is absent or empty.
    ///
    /// # Errors
    /// `Unauthorized` naming the file when it is there but cannot be read.
    pub fn read(&self) -> Result<Option<Token>, ApiError> {
        let path = match self {
            Self::Fixed(token) => return Ok(Some(token.clone())),
            Self::File(path) => path,
        };
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim()).filter(|t| !t.is_empty()).map(Token::new)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(ApiError::new(ErrorCode::Unauthorized, format!("token file: {e}"))
                .field(path.display().to_string())
                .hint("run as the user who started the daemon, or set SANDBOXED_SH_TOKEN_FILE")),
        }
    }
}

/// Settings shared by the daemon, the CLI and the MCP servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `SANDBOXED_SH_DATA_DIR`, absolute; default `~/.sandboxed-sh`.
    pub data_dir: PathBuf,
    /// `SANDBOXED_SH_HOST`: the address the daemon listens on.
    pub host: IpAddr,
    /// `SANDBOXED_SH_PORT`: the port it listens on.
    pub port: u16,
    /// What a client connects to.
    pub endpoint: Endpoint,
    /// Whether that daemon is ours to start.
    pub ownership: Ownership,
    /// `SANDBOXED_SH_TOKEN` or `SANDBOXED_SH_TOKEN_FILE`; default `<data dir>/token`.
    pub token: TokenSource,
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// `InvalidArgument` naming the variable that cannot be used.
    pub fn from_env() -> Result<Self, ApiError> {
        Self::parse(|name| std::env::var(name).ok())
    }

    /// Reads settings from any source of variables. An empty value counts as absent.
    ///
    /// # Errors
    /// `InvalidArgument` naming the variable that cannot be used.
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let get = |name: &str| get(name).filter(|v| !v.is_empty());
        let data_dir = data_dir(get("SANDBOXED_SH_DATA_DIR"), get("HOME"))?;
        let host = match get("SANDBOXED_SH_HOST") {
            Some(text) => parse_host("SANDBOXED_SH_HOST", &text)?,
            None => Ipv4Addr::LOCALHOST.into(),
        };
        let port = match get("SANDBOXED_SH_PORT") {
            Some(text) => parse_port("SANDBOXED_SH_PORT", &text)?,
            None => DEFAULT_PORT,
        };
        let (endpoint, ownership) = match get("SANDBOXED_SH_API_URL") {
            Some(url) => (parse_url(&url)?, Ownership::Foreign),
            None => (Endpoint::Tcp(reachable(host), port), Ownership::Ours),
        };
        let token = match (get("SANDBOXED_SH_TOKEN"), get("SANDBOXED_SH_TOKEN_FILE")) {
            (Some(text), _) => TokenSource::Fixed(Token::new(text)),
            (None, Some(path)) => TokenSource::File(path.into()),
            (None, None) => TokenSource::File(data_dir.join("token")),
        };
        Ok(Self { data_dir, host, port, endpoint, ownership, token })
    }

    /// The same settings for another address of our own daemon.
    #[must_use]
    pub fn with_address(mut self, host: IpAddr, port: u16) -> Self {
        self.host = host;
        self.port = port;
        self.endpoint = Endpoint::Tcp(reachable(host), port);
        self.ownership = Ownership::Ours;
        self
    }

    /// The file that holds the token, when it comes from one.
    pub fn token_file(&self) -> Option<&Path> {
        match &self.token {
            TokenSource::File(path) => Some(path),
            TokenSource::Fixed(_) => None,
        }
    }
}

/// An IP address, or `localhost` for 127.0.0.1.
///
/// # Errors
/// `InvalidArgument` naming `field` for a name that would need DNS.
pub fn parse_host(field: &str, text: &str) -> Result<IpAddr, ApiError> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    IpAddr::from_str(bare).map_err(|_| {
        ApiError::invalid(field, format!("{text:?} is not an IP address"))
            .hint("use an IP address such as 127.0.0.1, or localhost; names are not resolved")
    })
}

fn data_dir(chosen: Option<String>, home: Option<String>) -> Result<PathBuf, ApiError> {
    let path = match (chosen, home) {
        (Some(path), _) => PathBuf::from(path),
        (None, Some(home)) => Path::new(&home).join(".sandboxed-sh"),
        (None, None) => {
            return Err(ApiError::invalid("SANDBOXED_SH_DATA_DIR", "neither it nor HOME is set")
                .hint("set SANDBOXED_SH_DATA_DIR to a directory on a local disk"));
        }
    };
    absolute(&path)
        .map_err(|e| ApiError::invalid("SANDBOXED_SH_DATA_DIR", format!("{}: {e}", path.display())))
}

/// Where a client finds a daemon that listens on `host`: a wildcard is reached through loopback.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn parse_port(field: &str, text: &str) -> Result<u16, ApiError> {
    text.parse().ok().filter(|p| *p > 0).ok_or_else(|| {
        ApiError::invalid(field, format!("{text:?} is not a port")).hint("use a number from 1 to 65535")
    })
}

fn parse_url(text: &str) -> Result<Endpoint, ApiError> {
    const FIELD: &str = "SANDBOXED_SH_API_URL";
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') {
            return Err(ApiError::invalid(FIELD, format!("{text:?}: the socket's path is not absolute"))
                .hint("write unix:/path/to/socket"));
        }
        return Ok(Endpoint::Unix(path.into()));
    }
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(ApiError::invalid(FIELD, format!("{text:?} is neither http://host:port nor unix:/path"))
            .hint("for a daemon on another machine, forward its port over ssh"));
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, parse_port(FIELD, port)?),
        _ => (authority, 80),
    };
    Ok(Endpoint::Tcp(reachable(parse_host(FIELD, host)?), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(vars: &[(&str, &str)]) -> Result<Settings, ApiError> {
        Settings::parse(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn defaults_are_loopback_port_3000_and_a_directory_in_home() {
        let s = parse(&[("HOME", "/home/a")]).unwrap();
        assert_eq!(s.data_dir, Path::new("/home/a/.sandboxed-sh"));
        assert_eq!(s.endpoint.to_string(), "http://127.0.0.1:3000");
        assert_eq!(s.ownership, Ownership::Ours);
        assert_eq!(s.token, TokenSource::File("/home/a/.sandboxed-sh/token".into()));
    }

    #[test]
    fn endpoint_follows_the_variables() {
        let cases = [
            (("SANDBOXED_SH_PORT", "3002"), "http://127.0.0.1:3002", Ownership::Ours),
            (("SANDBOXED_SH_HOST", "0.0.0.0"), "http://127.0.0.1:3000", Ownership::Ours),
            (("SANDBOXED_SH_HOST", "::"), "http://[::1]:3000", Ownership::Ours),
            (("SANDBOXED_SH_HOST", "localhost"), "http://127.0.0.1:3000", Ownership::Ours),
            (("SANDBOXED_SH_HOST", ""), "http://127.0.0.1:3000", Ownership::Ours),
            (("SANDBOXED_SH_API_URL", "http://10.1.2.3:99/"), "http://10.1.2.3:99", Ownership::Foreign),
            (("SANDBOXED_SH_API_URL", "http://[::1]:99"), "http://[::1]:99", Ownership::Foreign),
            (("SANDBOXED_SH_API_URL", "http://[::1]"), "http://[::1]:80", Ownership::Foreign),
            (("SANDBOXED_SH_API_URL", "http://localhost:7"), "http://127.0.0.1:7", Ownership::Foreign),
            (("SANDBOXED_SH_API_URL", "unix:/run/x.sock"), "unix:/run/x.sock", Ownership::Foreign),
        ];
        for (variable, url, ownership) in cases {
            let s = parse(&[("HOME", "/h"), variable]).unwrap();
            assert_eq!((s.endpoint.to_string().as_str(), s.ownership), (url, ownership), "{variable:?}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_by_the_name_of_its_variable() {
        let cases = [
            ("SANDBOXED_SH_PORT", "0"),
            ("SANDBOXED_SH_PORT", "70000"),
            ("SANDBOXED_SH_PORT", "http"),
            ("SANDBOXED_SH_HOST", "example.org"),
            ("SANDBOXED_SH_API_URL", "https://127.0.0.1:3000"),
            ("SANDBOXED_SH_API_URL", "http://example.org:3000"),
            ("SANDBOXED_SH_API_URL", "http://127.0.0.1:x"),
            ("SANDBOXED_SH_API_URL", "unix:relative"),
        ];
        for (name, value) in cases {
            let e = parse(&[("HOME", "/h"), (name, value)]).unwrap_err();
            assert_eq!((e.code, e.field.as_deref()), (ErrorCode::InvalidArgument, Some(name)), "{value}");
            assert!(!e.hint.is_empty(), "{name}={value}");
        }
        assert_eq!(parse(&[]).unwrap_err().field.as_deref(), Some("SANDBOXED_SH_DATA_DIR"));
    }

    #[test]
    fn a_token_shows_in_no_debug_output() {
        let s = parse(&[("HOME", "/h"), ("SANDBOXED_SH_TOKEN", "s3cr3t")]).unwrap();
        assert!(!format!("{s:?}").contains("s3cr3t"));
        assert_eq!(s.token.read().unwrap().unwrap().expose(), "s3cr3t");
    }

    #[test]
    fn a_token_file_is_read_anew_and_may_be_absent() {
        let dir = tempfile::tempdir().unwrap();
        let source = TokenSource::File(dir.path().join("token"));
        assert_eq!(source.read().unwrap(), None);
        fs::write(dir.path().join("token"), "one\n").unwrap();
        assert_eq!(source.read().unwrap(), Some(Token::new("one")));
        fs::write(dir.path().join("token"), "two\n").unwrap();
        assert_eq!(source.read().unwrap(), Some(Token::new("two")));
    }
}
