//! Addresses of names, checked before anything connects to them.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::lookup_ip::LookupIp;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use sandboxed_domain::sandbox::egress::is_public;
use tokio::runtime::Handle;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::target::refused;
use crate::error::{Code, Problem};

/// How long looking a name up may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses that are tried.
const MOST: usize = 16;

/// Looks names up without the C library, whose lookup loads what it finds at run time: in a static program that is not
/// to be relied on.
#[derive(Debug, Clone)]
pub struct Names {
    runtime: Handle,
    /// Whether only public addresses are given; not for a proxy, which the user named.
    public_only: bool,
    /// Why nothing was given.
    problem: Arc<Mutex<Option<Problem>>>,
}

impl Names {
    /// Addresses of the public internet only, or any.
    pub fn new(runtime: Handle, public_only: bool) -> Self {
        Self { runtime, public_only, problem: Arc::default() }
    }

    /// Why the last name was not looked up or not given, once.
    pub fn problem(&self) -> Option<Problem> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn addresses(&self, host: &str, patience: Duration) -> Result<Vec<IpAddr>, Problem> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse() {
            return Ok(vec![ip]);
        }
        // As the C library has it: who is in the file of hosts is not looked for elsewhere.
        let own = in_hosts(host);
        if !own.is_empty() {
            return Ok(own);
        }
        let unknown = |error: &dyn std::fmt::Display| {
            Problem::new(Code::FetchFailed, format!("{host} cannot be looked up: {error}")).field("url")
        };
        let found = self.runtime.block_on(async {
            let mut builder = TokioResolver::builder_tokio().map_err(|error| unknown(&error))?;
            // All addresses, so that all are checked.
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            let resolver = builder.build().map_err(|error| unknown(&error))?;
            let looked_up = tokio::time::timeout(patience, resolver.lookup_ip(host)).await;
            looked_up.map_err(|_| unknown(&"no answer in time"))?.map_err(|error| unknown(&error))
        })?;
        Ok(found.iter().collect())
    }

    fn checked(&self, uri: &Uri, patience: Duration) -> Result<Vec<SocketAddr>, Problem> {
        let host = uri.host().unwrap_or_default();
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let found = self.addresses(host, patience)?;
        if self.public_only
            && let Some(private) = found.iter().find(|ip| !is_public(**ip))
        {
            return Err(refused(host, &format!("leads to {private}, which is no public address")));
        }
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// Addresses of a name in the system's file of hosts.
fn in_hosts(host: &str) -> Vec<IpAddr> {
    let (Ok(hosts), Ok(mut name)) = (Hosts::from_system(), Name::from_utf8(host)) else { return Vec::new() };
    name.set_fqdn(true);
    let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of).map(LookupIp::from);
    found.flat_map(|found| found.iter().collect::<Vec<_>>()).collect()
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let patience = PATIENCE.min(*timeout.after);
        match self.checked(uri, patience) {
            Ok(found) => {
                let mut addresses = self.empty();
                for address in found.into_iter().take(MOST) {
                    addresses.push(address);
                }
                if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
            }
            Err(problem) => {
                *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                Err(ureq::Error::HostNotFound)
            }
        }
    }
}
