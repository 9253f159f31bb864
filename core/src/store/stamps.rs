//! When a file was last touched, and what time it is where that is written down.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use sandboxed_domain::harness::FileStamp;

const SECOND: i64 = 1_000_000_000;

/// The stamp of a file that was looked at.
pub fn stamp_of(found: &Metadata) -> FileStamp {
    let at = |seconds: i64, rest: i64| seconds.saturating_mul(SECOND).saturating_add(rest);
    FileStamp {
        inode: found.ino(),
        size: found.len(),
        modified: at(found.mtime(), found.mtime_nsec()),
        changed: at(found.ctime(), found.ctime_nsec()),
    }
}

/// Now, as stamps have it: to be taken before the look that it is compared with.
pub fn stamp_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
