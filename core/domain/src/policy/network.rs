//! Whether the network that a workspace asks for makes sense.

use crate::api::{ApiError, NetworkMode};
use crate::sandbox::egress::{AllowRule, RuleError};

/// Most hosts of an allowlist.
const MOST_HOSTS: usize = 200;

/// The rules of an allowlist; empty for other modes, which take none.
///
/// # Errors
/// `invalid_params` for `allow_hosts`: missing, too many, not wanted, or the entry that is no host.
pub fn check_network(mode: NetworkMode, hosts: &[String]) -> Result<Vec<AllowRule>, ApiError> {
    let refuse = |message: String, hint: &str| Err(ApiError::invalid("allow_hosts", message).hint(hint));
    match (mode, hosts.len()) {
        (NetworkMode::Allowlist, 0) => refuse(
            "an allowlist wants at least one host".to_owned(),
            "for no network at all use network `none`",
        ),
        (NetworkMode::Allowlist, n) if n > MOST_HOSTS => {
            refuse(format!("{n} hosts; at most {MOST_HOSTS}"), "name domains: *.example.org")
        }
        (NetworkMode::Allowlist, _) => hosts.iter().enumerate().map(rule).collect(),
        (_, 0) => Ok(Vec::new()),
        _ => refuse(
            "only network `allowlist` takes hosts; others would not keep to them".to_owned(),
            "use network `allowlist`, or leave allow_hosts out",
        ),
    }
}

fn rule((index, text): (usize, &String)) -> Result<AllowRule, ApiError> {
    text.parse().map_err(|error: RuleError| {
        ApiError::invalid(format!("allow_hosts[{index}]"), error.to_string())
            .hint("names only, no scheme and no path; an address that is not public needs its port")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowlist_wants_hosts_and_only_it_takes_them() {
        let hosts = ["example.org".to_owned()];
        assert_eq!(check_network(NetworkMode::Allowlist, &hosts).unwrap().len(), 1);
        for (mode, hosts, field) in [
            (NetworkMode::Allowlist, vec![], "allow_hosts"),
            (NetworkMode::Nat, vec!["example.org".to_owned()], "allow_hosts"),
            (NetworkMode::Allowlist, vec!["a.org".to_owned(), "http://b".to_owned()], "allow_hosts[1]"),
            (NetworkMode::Allowlist, vec!["a.org".to_owned(); 201], "allow_hosts"),
        ] {
            assert_eq!(check_network(mode, &hosts).unwrap_err().field.as_deref(), Some(field), "{mode:?}");
        }
        for mode in [NetworkMode::Host, NetworkMode::None, NetworkMode::Nat] {
            assert!(check_network(mode, &[]).unwrap().is_empty());
        }
    }
}
