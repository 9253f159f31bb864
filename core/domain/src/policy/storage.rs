//! How full a place may become, and what follows.

use crate::api::StorageUse;

/// Where the folder that all workspaces read is inside a sandbox.
pub const GLOBAL_DIR: &str = "/mnt/global";
/// Where a workspace's inbox is inside its sandbox.
pub const INBOX_DIR: &str = "/mnt/inbox";
/// Percentages that are told of, each once on the way up.
pub const STORAGE_LEVELS: [u8; 3] = [80, 95, 100];
/// The highest of [`STORAGE_LEVELS`] that is reached.
pub fn storage_level(fill: StorageUse) -> Option<u8> {
    let share = |level: u8| u128::from(fill.quota_bytes) * u128::from(level);
    STORAGE_LEVELS.into_iter().rev().find(|level| u128::from(fill.used_bytes) * 100 >= share(*level))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(used_bytes: u64, quota_bytes: u64) -> StorageUse {
        StorageUse { used_bytes, quota_bytes }
    }

    #[test]
    fn levels_begin_at_their_very_byte() {
        for (used, level) in [
            (0, None),
            (799, None),
            (800, Some(80)),
            (949, Some(80)),
            (950, Some(95)),
            (999, Some(95)),
            (1000, Some(100)),
            (u64::MAX, Some(100)),
        ] {
            assert_eq!(storage_level(of(used, 1000)), level, "{used}");
        }
        assert_eq!(storage_level(of(u64::MAX / 2, u64::MAX)), None, "no overflow");
    }
}
