//! Whose user ids those of sandboxes are: each has 65,536 of a range that must exist here and be nobody else's.

use std::fs;

use sandboxed_domain::sandbox::{FIRST_UID_BASE, LAST_UID_BASE, UIDS_PER_SANDBOX};

use super::check::{Check, Need};

/// First id of sandboxes, and the first one after them.
const OURS: (u64, u64) = (FIRST_UID_BASE as u64, LAST_UID_BASE as u64 + UIDS_PER_SANDBOX as u64);

pub(super) fn checks() -> [Check; 2] {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let maps = [("uid_map", read("/proc/self/uid_map")), ("gid_map", read("/proc/self/gid_map"))];
    let mapped = maps.iter().try_for_each(|(name, text)| match covers(text) {
        true => Ok(()),
        false => Err(format!("not all of {} to {} are in /proc/self/{name}", OURS.0, OURS.1 - 1)),
    });
    let shown = format!("{} to {}, {UIDS_PER_SANDBOX} for each sandbox", OURS.0, OURS.1 - 1);
    let [users, groups] = ["/etc/subuid", "/etc/subgid"].map(|path| taken(path, &read(path)));
    let accounts = accounts(&read("/etc/passwd"));
    let others: Vec<Other> = users.into_iter().chain(groups).chain(accounts).collect();
    let found = match others.first() {
        None => Ok("no user or subordinate range of this host is among those of sandboxes".to_owned()),
        Some(other) => Err(format!("{} of {} may be a sandbox's as well", other.ids, other.owner)),
    };
    let mend = others.first().map(|other| other.mend.clone()).unwrap_or_default();
    [
        Check::of(
            "user ids",
            Need::Sandboxes,
            mapped.map(|()| shown),
            "run sandboxed-sh outside of containers and user namespaces, which have fewer ids",
        ),
        Check::of("subordinate ids", Need::Isolation, found, &mend),
    ]
}

/// Whether a map of this process's own user namespace has all ids of sandboxes. Lines: inside, outside, how many.
fn covers(map: &str) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse::<u64>().ok());
        let (Some(first), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        first <= OURS.0 && first + count >= OURS.1
    })
}

/// Ids that somebody else may use.
#[derive(Debug, PartialEq, Eq)]
struct Other {
    owner: String,
    ids: String,
    mend: String,
}

fn overlaps(first: u64, count: u64) -> bool {
    first < OURS.1 && first.saturating_add(count) > OURS.0
}

/// `user:first:count` lines of `/etc/subuid` and `/etc/subgid`.
fn taken(file: &str, text: &str) -> Vec<Other> {
    let option = if file.ends_with("gid") { "--del-subgids" } else { "--del-subuids" };
    let line = |line: &str| {
        let mut parts = line.split(':');
        let owner = parts.next()?.to_owned();
        let (first, count) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.trim().parse::<u64>().ok()?);
        let ids = format!("{first}-{}", first + count.checked_sub(1)?);
        let mend = format!("usermod {option} {ids} {owner}, then give it a range below {}", OURS.0);
        overlaps(first, count).then(|| Other { owner: format!("{owner} in {file}"), ids, mend })
    };
    text.lines().filter_map(line).collect()
}

/// Accounts of `/etc/passwd` with such an id.
fn accounts(text: &str) -> Vec<Other> {
    let line = |line: &str| {
        let mut parts = line.split(':');
        let owner = parts.next()?.to_owned();
        let id = parts.nth(1)?.parse::<u64>().ok()?;
        let mend = format!("usermod -u ID {owner}, with an ID below {}", OURS.0);
        overlaps(id, 1).then(|| Other { owner, ids: id.to_string(), mend })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_covers_the_ids_of_sandboxes_or_does_not() {
        assert!(covers("         0          0 4294967295\n"));
        assert!(!covers("         0     100000      65536\n"));
        assert!(!covers(""));
    }

    #[test]
    fn ranges_and_accounts_among_those_of_sandboxes_are_named_with_their_mending() {
        let usual = "me:100000:65536\nyou:165536:65536\n";
        assert_eq!(taken("/etc/subuid", usual), []);
        let found = taken("/etc/subgid", &format!("{usual}many:1000000:100000\nbroken\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].mend.contains("--del-subgids 1000000-1099999 many"), "{found:?}");
        let passwd =
            "root:x:0:0::/root:/bin/sh\nodd:x:2000000:100::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
        assert_eq!(accounts(passwd).iter().map(|o| o.owner.as_str()).collect::<Vec<_>>(), ["odd"]);
    }
}
