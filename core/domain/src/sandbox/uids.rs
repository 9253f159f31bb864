//! Which user ids a sandbox gets: 65,536 of its own, so that an escape is nobody anywhere else.

/// Ids of one sandbox.
pub const UIDS_PER_SANDBOX: u32 = 0x1_0000;
/// First base: above the ids that `useradd` and subordinate ranges (100000–) hand out by default to a few users.
pub const FIRST_UID_BASE: u32 = 0x10_0000;
/// Last base: nspawn's own automatic range ends below `0x7000_0000`.
pub const LAST_UID_BASE: u32 = 0x7000_0000 - UIDS_PER_SANDBOX;

/// The lowest free base; none when all 28,656 are taken. Bases that are not ours are ignored.
pub fn next_uid_base(taken: impl IntoIterator<Item = u32>) -> Option<u32> {
    let taken: std::collections::BTreeSet<u32> = taken.into_iter().collect();
    (FIRST_UID_BASE..=LAST_UID_BASE).step_by(UIDS_PER_SANDBOX as usize).find(|base| !taken.contains(base))
}

/// Whether a base is one that [`next_uid_base`] could return.
pub(super) fn is_base(base: u32) -> bool {
    (FIRST_UID_BASE..=LAST_UID_BASE).contains(&base) && base.is_multiple_of(UIDS_PER_SANDBOX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_gap_is_used() {
        assert_eq!(next_uid_base([]), Some(0x10_0000));
        assert_eq!(next_uid_base([0x10_0000, 0x12_0000]), Some(0x11_0000));
    }

    #[test]
    fn a_full_host_is_refused() {
        let all = (FIRST_UID_BASE..=LAST_UID_BASE).step_by(UIDS_PER_SANDBOX as usize);
        assert_eq!(next_uid_base(all.clone()), None);
        assert_eq!(all.count(), 28_656);
    }

    proptest! {
        #[test]
        fn a_base_is_free_and_of_the_grid(taken in proptest::collection::vec(0u32..64, 0..64)) {
            let taken: Vec<u32> = taken.iter().map(|n| FIRST_UID_BASE + n * UIDS_PER_SANDBOX).collect();
            let base = next_uid_base(taken.iter().copied()).unwrap();
            prop_assert!(is_base(base));
            prop_assert!(!taken.contains(&base));
        }
    }
}
