//! What a sandbox with a network of its own may reach: the rule of each mode, as values.
//!
//! `nat` blocks addresses, in the sandbox's own network namespace; `allowlist` has no network at all but a proxy that
//! connects to named hosts and refuses what does not resolve to a public address.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where the proxy of an allowlist listens inside the sandbox.
pub const PROXY_PORT: u16 = 3128;
/// Where name servers answer inside a `nat` sandbox: queries go to the host's own.
pub const DNS_FORWARD: Ipv4Addr = Ipv4Addr::new(169, 254, 77, 53);
/// Ports of a rule that names none.
const WEB_PORTS: [u16; 2] = [80, 443];

/// Addresses that are never the public internet: (network, prefix length). IANA's special-purpose registries
/// (RFC 6890 and its successors); cloud metadata lies in 169.254.0.0/16.
const BLOCKED_V4: [(Ipv4Addr, u8); 11] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same for IPv6, with the ranges that carry an IPv4 address in them.
const BLOCKED_V6: [(Ipv6Addr, u8); 8] = [
    (Ipv6Addr::UNSPECIFIED, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Whether an address is of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !BLOCKED_V4
            .iter()
            .any(|(net, len)| (u32::from(ip) ^ u32::from(*net)).leading_zeros() >= u32::from(*len)),
        IpAddr::V6(ip) => !BLOCKED_V6
            .iter()
            .any(|(net, len)| (u128::from(ip) ^ u128::from(*net)).leading_zeros() >= u32::from(*len)),
    }
}

/// The rules of a `nat` sandbox's namespace, for `nft -f -`. `host`: addresses of the host itself, blocked as well.
pub fn nat_rules(host: &[IpAddr]) -> String {
    let v4 = BLOCKED_V4.iter().map(|(net, len)| format!("{net}/{len}"));
    let v6 = BLOCKED_V6.iter().map(|(net, len)| format!("{net}/{len}"));
    let of_host = |four: bool| host.iter().filter(move |ip| ip.is_ipv4() == four && is_public(**ip));
    let v4: Vec<_> = v4.chain(of_host(true).map(ToString::to_string)).collect();
    let v6: Vec<_> = v6.chain(of_host(false).map(ToString::to_string)).collect();
    let mut text = String::from("table inet sandbox {\n");
    for (name, kind, elements) in [("blocked4", "ipv4_addr", v4), ("blocked6", "ipv6_addr", v6)] {
        let elements = elements.join(", ");
        let _ = writeln!(
            text,
            "  set {name} {{ type {kind}; flags interval; auto-merge; elements = {{ {elements} }}; }}"
        );
    }
    let _ = write!(
        text,
        "  chain out {{\n    type filter hook output priority 0; policy accept;\n    oifname \"lo\" accept\n\
         \x20   ip daddr {DNS_FORWARD} udp dport 53 accept\n    ip daddr {DNS_FORWARD} tcp dport 53 accept\n\
         \x20   icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit }} accept\n\
         \x20   ip daddr @blocked4 reject with icmp type admin-prohibited\n\
         \x20   ip6 daddr @blocked6 reject with icmpv6 type admin-prohibited\n  }}\n\
         \x20 chain in {{\n    type filter hook input priority 0; policy drop;\n    iifname \"lo\" accept\n\
         \x20   ct state established,related accept\n\
         \x20   icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }} accept\n  }}\n}}\n"
    );
    text
}

/// One host that an allowlist lets through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AllowRule {
    /// Lower-case name, without a dot at its end; an address in its plain form.
    host: String,
    /// Whether names below it are meant (`*.example.org`), and not itself.
    below: bool,
    /// One port; none: 80 and 443.
    port: Option<u16>,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{rule:?} is not a host: write `example.org`, `*.example.org`, `example.org:8443` or `192.0.2.1:8080`"
)]
pub struct RuleError {
    /// The text.
    pub rule: String,
}

impl FromStr for AllowRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let refuse = || RuleError { rule: text.to_owned() };
        let (name, port) = split_port(text).ok_or_else(refuse)?;
        let (name, below) = match name.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let host = plain_host(name).ok_or_else(refuse)?;
        let address = host.parse::<IpAddr>().ok();
        // An address has nothing below it, and one that is not public is meant only with its port.
        if address.is_some_and(|ip| below || (port.is_none() && !is_public(ip)))
            || (below && !host.contains('.'))
        {
            return Err(refuse());
        }
        Ok(Self { host, below, port })
    }
}

impl TryFrom<String> for AllowRule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl From<AllowRule> for String {
    fn from(rule: AllowRule) -> Self {
        let star = if rule.below { "*." } else { "" };
        let host = if rule.host.contains(':') { format!("[{}]", rule.host) } else { rule.host };
        match rule.port {
            Some(port) => format!("{star}{host}:{port}"),
            None => format!("{star}{host}"),
        }
    }
}

/// How a target may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Only where its name resolves to a public address.
    Public,
    /// The rule names this very address and port.
    AsNamed,
}

/// Whether `host` (a name or an address as the client wrote it) may be reached on `port`.
pub fn allowed(rules: &[AllowRule], host: &str, port: u16) -> Option<Allowed> {
    let host = plain_host(host)?;
    let matches = |rule: &&AllowRule| {
        let name = match rule.below {
            true => host.strip_suffix(&rule.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            false => host == rule.host,
        };
        name && rule.port.map_or(WEB_PORTS.contains(&port), |own| own == port)
    };
    let found: Vec<_> = rules.iter().filter(matches).collect();
    let named = host.parse::<IpAddr>().is_ok() && found.iter().any(|rule| rule.port.is_some());
    match found.first() {
        None => None,
        Some(_) if named => Some(Allowed::AsNamed),
        Some(_) => Some(Allowed::Public),
    }
}

/// Splits `host:port` and `[v6]:port`; the port is optional.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        return match after {
            "" => Some((address, None)),
            _ => Some((address, Some(port(after.strip_prefix(':')?)?))),
        };
    }
    match text.split_once(':') {
        Some((name, after)) if !after.contains(':') => Some((name, Some(port(after)?))),
        _ => Some((text, None)),
    }
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// A name in lower case without its last dot, or an address in its one plain form; none for anything else, odd spellings
/// of addresses (`0x7f.1`, `2130706433`) included.
fn plain_host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    (name.len() <= 253 && name.split('.').all(label) && !number).then_some(name)
}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
