//! By which proxy a build comes to its mirrors: the daemon's environment says it, else the host's apt, and where that
//! has a script for it (`Acquire::http::Proxy-Auto-Detect`) apt itself asks the script, with the rights and by the rules
//! that it has on the host.
//!
//! Apt knows a proxy for each host, a builder one for each protocol and hosts that it asks directly. What cannot be said
//! in this way is refused.

use std::collections::{BTreeMap, BTreeSet};

/// Variables that tell a builder its way, each with the protocol that it is about.
const VARIABLES: [(&str, &str); 2] = [("http", "http_proxy"), ("https", "https_proxy")];
const DIRECT_HOSTS: &str = "no_proxy";
/// How apt says that no proxy is asked.
const DIRECT: &str = "DIRECT";

/// Why a build has no way that is the host's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("apt does not tell the proxy for {host}: {said}")]
    Untold { host: String, said: String },
    #[error("apt's script had not told the proxy for {host} after {seconds} s")]
    TimedOut { host: String, seconds: u64 },
    #[error(
        "apt asks {one} and {other} in different ways, and a build has one for each protocol; name it in the daemon's \
         http_proxy, https_proxy and no_proxy"
    )]
    Several { one: String, other: String },
}

/// A host that packages come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mirror {
    scheme: &'static str,
    pub(super) host: String,
    /// What is fetched of it first.
    pub(super) url: String,
}

impl Mirror {
    /// The hosts in entries of a `sources.list`, each once for a protocol; what is fetched without a network is left out.
    pub(super) fn all_of(entries: &[String]) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for mirror in entries.iter().filter_map(|entry| Self::of(entry)) {
            if !found.iter().any(|known| (known.scheme, &known.host) == (mirror.scheme, &mirror.host)) {
                found.push(mirror);
            }
        }
        found
    }

    fn of(entry: &str) -> Option<Self> {
        let mut words = entry.split_whitespace().skip_while(|word| !word.contains("://"));
        let (uri, suite) = (words.next()?, words.next()?);
        let (scheme, rest) = uri.split_once("://")?;
        let scheme = VARIABLES.iter().find(|(known, _)| *known == scheme)?.0;
        let authority = rest.split('/').next()?;
        let host = authority.rsplit('@').next()?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.split(']').next()?,
            None => host.split(':').next()?,
        };
        let url = format!("{}/dists/{suite}/InRelease", uri.trim_end_matches('/'));
        Some(Self { scheme, host: host.to_owned(), url })
    }
}

/// What the daemon's environment and apt's configuration say of proxies.
#[derive(Debug, Default)]
pub(super) struct Said {
    environment: BTreeMap<String, String>,
    /// By lower-case key: apt does not tell cases apart.
    apt: BTreeMap<String, String>,
}

impl Said {
    /// Of the environment's variables and of what `apt-config dump Acquire` printed.
    pub(super) fn of(environment: impl Iterator<Item = (String, String)>, dump: &str) -> Self {
        let known = |name: &str| name == DIRECT_HOSTS || VARIABLES.iter().any(|(_, known)| *known == name);
        let entry = |line: &str| {
            let (key, value) = line.split_once(' ')?;
            let value = value.trim().strip_prefix('"')?.strip_suffix("\";")?;
            Some((key.to_ascii_lowercase(), value.to_owned()))
        };
        let told = |(_, value): &(String, String)| !value.is_empty();
        Self {
            environment: environment.filter(|(name, _)| known(name)).filter(told).collect(),
            apt: dump.lines().filter_map(entry).filter(told).collect(),
        }
    }

    fn apt(&self, scheme: &str, key: &str) -> Option<&str> {
        self.apt.get(&format!("acquire::{scheme}::{key}").to_ascii_lowercase()).map(String::as_str)
    }

    /// Whether apt would ask a script for the way to a mirror.
    pub(super) fn asks_script(&self, mirror: &Mirror) -> bool {
        let variable = VARIABLES
            .iter()
            .any(|(scheme, name)| *scheme == mirror.scheme && self.environment.contains_key(*name));
        let named = self.apt(mirror.scheme, &format!("proxy::{}", mirror.host)).is_some();
        let script =
            ["proxy-auto-detect", "proxyautodetect"].iter().any(|k| self.apt(mirror.scheme, k).is_some());
        script && !named && !variable
    }

    /// The variables for a builder, where scripts have answered this for mirrors.
    ///
    /// # Errors
    /// [`ProxyError::Several`].
    pub(super) fn variables(
        &self,
        mirrors: &[Mirror],
        answers: &BTreeMap<Mirror, String>,
    ) -> Result<Vec<(String, String)>, ProxyError> {
        let mut variables = Vec::new();
        let mut direct = self.direct_hosts();
        let mut proxied: Vec<&str> = Vec::new();
        for (scheme, name) in VARIABLES {
            if let Some(address) = self.environment.get(name) {
                variables.push((name.to_owned(), address.clone()));
                continue;
            }
            let ways = mirrors.iter().filter(|mirror| mirror.scheme == scheme);
            let ways: Vec<_> = ways.map(|mirror| (mirror.host.as_str(), self.way(mirror, answers))).collect();
            let through: Vec<_> = ways.iter().filter_map(|(host, way)| Some((*host, (*way)?))).collect();
            if let [(one, first), rest @ ..] = through.as_slice()
                && let Some((other, _)) = rest.iter().find(|(_, address)| address != first)
            {
                return Err(ProxyError::Several { one: (*one).to_owned(), other: (*other).to_owned() });
            }
            let general = self.general(scheme).and_then(address);
            let Some(chosen) = through.first().map(|(_, address)| *address).or(general) else { continue };
            variables.push((name.to_owned(), chosen.to_owned()));
            proxied.extend(through.iter().map(|(host, _)| *host));
            direct.extend(ways.iter().filter(|(_, way)| way.is_none()).map(|(host, _)| (*host).to_owned()));
        }
        // A name in that list stands for all that end so.
        for one in proxied {
            if let Some(other) = direct.iter().find(|host| one.ends_with(host.as_str())) {
                return Err(ProxyError::Several { one: one.to_owned(), other: other.clone() });
            }
        }
        let listed = self.environment.get(DIRECT_HOSTS).cloned().into_iter().chain(direct);
        let listed = listed.collect::<Vec<_>>().join(",");
        variables.extend((!listed.is_empty()).then(|| (DIRECT_HOSTS.to_owned(), listed)));
        Ok(variables)
    }

    /// The proxy for a mirror; none where it is asked directly. What is said of HTTP holds for HTTPS where that has
    /// nothing of its own.
    fn way<'a>(&'a self, mirror: &Mirror, answers: &'a BTreeMap<Mirror, String>) -> Option<&'a str> {
        let own = format!("proxy::{}", mirror.host);
        let said = self
            .apt(mirror.scheme, &own)
            .or_else(|| answers.get(mirror).map(String::as_str))
            .or_else(|| self.apt("http", &own))
            .or_else(|| self.general(mirror.scheme))?;
        address(said)
    }

    fn general(&self, scheme: &str) -> Option<&str> {
        self.apt(scheme, "proxy").or_else(|| self.apt("http", "proxy"))
    }

    /// Hosts that apt's configuration has asked directly, mirrors or not.
    fn direct_hosts(&self) -> BTreeSet<String> {
        let entries = self.apt.iter().filter(|(_, value)| *value == DIRECT);
        entries.filter_map(|(key, _)| key.strip_prefix("acquire::http::proxy::").map(str::to_owned)).collect()
    }
}

/// An address of a proxy; `DIRECT` and what is no address are none.
fn address(said: &str) -> Option<&str> {
    (said != DIRECT && said.contains("://")).then_some(said)
}

/// The address in what `apt-helper auto-detect-proxy` prints, none where apt's general one holds:
/// `Using proxy 'http://proxy:3128' for URL 'http://mirror/…'`.
pub(super) fn answer_of(printed: &str) -> Option<String> {
    let line = printed.lines().find_map(|line| line.strip_prefix("Using proxy '"))?;
    let (said, _) = line.rsplit_once("' for URL '")?;
    (!said.is_empty()).then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: &str = "deb http://near.example:8080/debian bookworm main";
    const SAFE: &str = "deb [signed-by=/k.gpg] https://safe.example/security bookworm-security main";

    fn said(environment: &[(&str, &str)], dump: &str) -> Said {
        Said::of(environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), dump)
    }

    /// The variables as lines, where scripts answer for the hosts that are named.
    fn told(said: &Said, entries: &[&str], answers: &[(&str, &str)]) -> Result<Vec<String>, ProxyError> {
        let mirrors = Mirror::all_of(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>());
        let answer = |(host, said): &(&str, &str)| {
            let mirror = mirrors.iter().find(|mirror| mirror.host == *host).unwrap();
            (mirror.clone(), (*said).to_owned())
        };
        let variables = said.variables(&mirrors, &answers.iter().map(answer).collect())?;
        Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn the_proxies_of_the_hosts_apt_are_those_of_the_build() {
        let dump = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://me:pw@proxy:3128/\";\n\
                    Acquire::http::Proxy::local.example \"DIRECT\";\nAcquire::https::Proxy \"DIRECT\";\n";
        let (http, direct) = ("http_proxy=http://me:pw@proxy:3128/", "no_proxy=local.example");
        assert_eq!(told(&said(&[], dump), &[], &[]).unwrap(), [http, direct]);
        let of_http = dump.replace("Acquire::https::Proxy \"DIRECT\";\n", "Acquire::https::Proxy \"\";\n");
        let both = [http, "https_proxy=http://me:pw@proxy:3128/", direct];
        assert_eq!(told(&said(&[], &of_http), &[], &[]).unwrap(), both);
        let other_case = of_http.replace("Acquire::http::Proxy", "acquire::HTTP::proxy");
        assert_eq!(told(&said(&[], &other_case), &[], &[]).unwrap(), both);
        assert!(told(&said(&[], ""), &[NEAR], &[]).unwrap().is_empty());
    }

    #[test]
    fn the_environment_goes_before_apt_and_an_empty_variable_is_none() {
        let dump = "Acquire::http::Proxy \"http://apt:1\";\nAcquire::http::Proxy::a.example \"DIRECT\";\n";
        let own = said(&[("http_proxy", "http://env:1"), ("no_proxy", "b.example"), ("HOME", "/root")], dump);
        let expected =
            ["http_proxy=http://env:1", "https_proxy=http://apt:1", "no_proxy=b.example,a.example"];
        assert_eq!(told(&own, &[NEAR], &[]).unwrap(), expected);
        let empty = said(&[("http_proxy", "")], "Acquire::http::Proxy \"http://apt:1\";\n");
        assert_eq!(told(&empty, &[NEAR], &[]).unwrap()[0], "http_proxy=http://apt:1");
    }

    #[test]
    fn what_a_script_answers_for_a_mirror_goes_before_the_general_proxy() {
        let dump =
            "Acquire::http::Proxy \"http://general:1\";\nAcquire::http::ProxyAutoDetect \"/script\";\n";
        let apt = said(&[], dump);
        let answered = |answer: &str| told(&apt, &[NEAR, SAFE], &[("near.example", answer)]).unwrap();
        assert_eq!(answered("http://found:2"), ["http_proxy=http://found:2", "https_proxy=http://general:1"]);
        let general =
            ["http_proxy=http://general:1", "https_proxy=http://general:1", "no_proxy=near.example"];
        assert_eq!(answered("DIRECT"), general);
        assert_eq!(told(&apt, &[NEAR, SAFE], &[]).unwrap(), general[..2]);
    }

    #[test]
    fn a_script_is_asked_only_where_nothing_more_special_is_said() {
        let mirrors = Mirror::all_of(&[NEAR.to_owned(), SAFE.to_owned(), NEAR.to_owned()]);
        let asked = |said: Said| -> Vec<&str> {
            let asked = mirrors.iter().filter(|mirror| said.asks_script(mirror));
            asked.map(|mirror| mirror.url.as_str()).collect()
        };
        let dump = "Acquire::http::Proxy-Auto-Detect \"/script\";\n";
        let near = "http://near.example:8080/debian/dists/bookworm/InRelease";
        assert_eq!(asked(said(&[], dump)), [near]);
        assert!(asked(said(&[("http_proxy", "http://env:1")], dump)).is_empty());
        let named = format!("{dump}Acquire::http::Proxy::near.example \"http://own:1\";\n");
        assert!(asked(said(&[], &named)).is_empty());
        let safe = "https://safe.example/security/dists/bookworm-security/InRelease";
        assert_eq!(asked(said(&[], &dump.replace("http:", "https:"))), [safe]);
        assert!(asked(said(&[], "")).is_empty());
    }

    #[test]
    fn two_ways_for_one_protocol_are_refused_and_a_host_beside_is_asked_directly() {
        let far = NEAR.replace("near.example", "far.example");
        let entries = [NEAR, far.as_str()];
        let script = said(&[], "Acquire::http::Proxy-Auto-Detect \"/script\";\n");
        let beside = ["http_proxy=http://found:2", "no_proxy=far.example"];
        assert_eq!(told(&script, &entries, &[("near.example", "http://found:2")]).unwrap(), beside);
        let both = [("near.example", "http://found:2"), ("far.example", "http://other:secret@found:3")];
        let error = told(&script, &entries, &both).unwrap_err();
        assert_eq!(
            error,
            ProxyError::Several { one: "near.example".to_owned(), other: "far.example".to_owned() }
        );
        assert!(!error.to_string().contains("secret"));
        let above = NEAR.replace("near.example", "sub.near.example");
        let answers = [("near.example", "DIRECT"), ("sub.near.example", "http://found:2")];
        assert!(told(&script, &[NEAR, above.as_str()], &answers).is_err());
    }

    #[test]
    fn what_apt_prints_of_a_script_is_understood() {
        let printed = |said: &str| format!("Using proxy '{said}' for URL 'http://near.example/dists/x'\n");
        assert_eq!(answer_of(&printed("http://me:it's@p:1")).as_deref(), Some("http://me:it's@p:1"));
        assert_eq!(answer_of(&printed("DIRECT")).as_deref(), Some("DIRECT"));
        assert_eq!(answer_of(&printed("")), None);
        assert_eq!(answer_of("something else"), None);
    }
}
