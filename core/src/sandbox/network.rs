//! The network that a sandbox asked for, as the launcher makes it.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use sandbox_runner::launch::NetworkPlan;
use sandboxed_domain::sandbox::egress::{DNS_FORWARD, PROXY_PORT, nat_rules};
use sandboxed_domain::sandbox::{Network, SandboxSpec};

use super::error::SandboxError;
use super::probe;

/// The plan of a network with a way out; none where nspawn's own arguments do.
pub(super) fn plan(spec: &SandboxSpec) -> Result<Option<NetworkPlan>, SandboxError> {
    let (mode, rules, listen) = match &spec.network {
        Network::Host | Network::None => return Ok(None),
        Network::Nat => {
            probe::ensure_nat()?;
            (vec!["nat".to_owned()], Some(nat_rules(&host_addresses())), None)
        }
        Network::Allowlist(rules) => {
            let words = rules.iter().cloned().map(String::from);
            (std::iter::once("allowlist".to_owned()).chain(words).collect(), None, Some(PROXY_PORT))
        }
    };
    let egress = [spec.egress.display().to_string(), "egress".to_owned()].into_iter().chain(mode).collect();
    let env = ["PATH", "RUST_LOG"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    Ok(Some(NetworkPlan { rules, listen, egress, env: env.collect() }))
}

/// Addresses of the host as they are now: what listens on them is not for sandboxes.
fn host_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    };
    interfaces.filter_map(address).collect()
}

/// Text of `/etc/resolv.conf` inside; none where the network has its own or needs none.
pub fn resolv_conf(network: &Network) -> Option<String> {
    (*network == Network::Nat).then(|| format!("nameserver {DNS_FORWARD}\n"))
}

/// Variables by which programs inside find the proxy.
pub fn proxy_env() -> Vec<(String, String)> {
    let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    let none = ["NO_PROXY", "no_proxy"].map(|name| (name.to_owned(), "localhost,127.0.0.1,::1".to_owned()));
    names.map(|name| (name.to_owned(), proxy.clone())).into_iter().chain(none).collect()
}
