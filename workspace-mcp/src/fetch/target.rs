//! Which URLs are fetched, and through what.

use std::net::IpAddr;

use sandboxed_domain::sandbox::egress::is_public;
use url::{Host, Url};

use crate::error::{Code, Problem, Result};

/// Longest URL taken, in bytes.
const MAX_URL: usize = 8192;
/// Ends of names that mean this machine or a network of its own, wherever they are looked up.
const LOCAL: [&str; 6] = ["localhost", "local", "internal", "localdomain", "home.arpa", "intranet"];

/// A URL that may be asked for, as far as that can be told without looking its name up.
///
/// # Errors
/// `invalid_argument`, `address_refused`; both name the field.
pub fn check(text: &str) -> Result<Url> {
    let wrong = |why: &str| Problem::invalid("url", format!("{}: {why}", shown(text)));
    if text.len() > MAX_URL {
        return Err(Problem::invalid("url", format!("a URL has at most {MAX_URL} bytes")));
    }
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("only http and https are fetched"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::invalid("url", "a URL with a user or password is not fetched")
            .hint("what needs a login is fetched with curl and run_command"));
    }
    match url.host() {
        Some(Host::Ipv4(ip)) => public(&url, IpAddr::V4(ip))?,
        Some(Host::Ipv6(ip)) => public(&url, IpAddr::V6(ip))?,
        Some(Host::Domain(name)) if is_local(name) => {
            return Err(refused(name, "is a name of this machine or network"));
        }
        Some(Host::Domain(_)) => {}
        None => return Err(wrong("it has no host")),
    }
    Ok(url)
}

fn public(url: &Url, ip: IpAddr) -> Result<()> {
    if is_public(ip) {
        Ok(())
    } else {
        Err(refused(url.host_str().unwrap_or_default(), "is no public address"))
    }
}

/// What is not reached, and why.
pub fn refused(host: &str, why: &str) -> Problem {
    Problem::new(Code::AddressRefused, format!("{host} {why}")).field("url")
}

fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    LOCAL.iter().any(|end| name == *end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')))
}

/// A URL for messages.
fn shown(text: &str) -> &str {
    crate::text::shorten(text, 200)
}

/// The proxy that a URL is fetched through, by the usual variables.
pub fn proxy(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let read =
        |names: &[&str]| names.iter().find_map(|name| variable(name)).filter(|value| !value.is_empty());
    if exempt(url.host_str()?, &read(&["no_proxy", "NO_PROXY"]).unwrap_or_default()) {
        return None;
    }
    match url.scheme() {
        // The variable in capitals would come from a header where a program serves CGI; here nobody sets it so.
        "http" => read(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
        _ => read(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
    }
}

/// Whether a host is on a list such as `localhost,.example.org`.
fn exempt(host: &str, list: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
        |entry| {
            let name = entry.trim_start_matches("*.").trim_start_matches('.');
            entry == "*" || host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_web_is_fetched_however_an_address_is_written() {
        for url in [
            "https://example.org/a?b#c",
            "http://93.184.216.34:8080/",
            "https://[2606:2800:220:1::1]/",
            "http://bücher.example/",
        ] {
            assert!(check(url).is_ok(), "{url}: {:?}", check(url));
        }
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://10.0.0.1/",
            "http://172.31.0.1/",
            "http://192.168.1.1/",
            "http://100.64.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://localhost:3000/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://metadata.google.internal/",
            "http://printer.local/",
        ] {
            let problem = check(url).unwrap_err();
            assert_eq!(
                (problem.code, problem.field.as_deref()),
                (Code::AddressRefused, Some("url")),
                "{url}"
            );
        }
        for url in [
            "file:///etc/passwd",
            "ftp://example.org/",
            "example.org",
            "http://",
            "https://user:pw@example.org/",
            "gopher://x/",
            "",
        ] {
            let problem = check(url).unwrap_err();
            assert_eq!(problem.code, Code::InvalidArgument, "{url}");
            assert!(!problem.message.contains("pw"), "{problem}");
        }
        assert!(!is_local("notlocalhost") && !is_local("localhost.example.org"));
    }

    #[test]
    fn the_environment_says_which_proxy() {
        let set = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let of = |url: &str, pairs| proxy(&Url::parse(url).unwrap(), set(pairs));
        assert_eq!(of("http://a.org/", &[]), None);
        assert_eq!(of("http://a.org/", &[("HTTP_PROXY", "http://p:1")]).as_deref(), Some("http://p:1"));
        assert_eq!(of("https://a.org/", &[("HTTP_PROXY", "http://p:1")]), None);
        assert_eq!(of("https://a.org/", &[("ALL_PROXY", "http://p:2")]).as_deref(), Some("http://p:2"));
        for (list, exempted) in [
            ("a.org", true),
            (".org", true),
            ("*.org", true),
            ("*", true),
            ("b.org,A.ORG", true),
            ("xa.org", false),
            ("rg", false),
        ] {
            assert_eq!(exempt("a.org", list), exempted, "{list}");
        }
    }
}
