//! Both clocks of the machine, and what a wall clock that was set back does to what waits for a time.

use chrono::{TimeDelta, Utc};
use nix::time::{ClockId, clock_gettime};
use rusqlite::params;
use sandboxed_domain::mission::Clocks;

use super::events::{parse_stamp, stamp};
use super::{StoreError, Tx, set_setting, setting};

const SETTING: &str = "clocks";

/// What they say now; none on a machine that does not tell one start from another.
pub fn clocks_now() -> Option<Clocks> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let up_ms = up.tv_sec().checked_mul(1000)?.checked_add(up.tv_nsec() / 1_000_000)?;
    Some(Clocks { boot: boot.trim().to_owned(), up_ms, wall_ms: Utc::now().timestamp_millis() })
}

/// Compares the clocks with those of the last call. Where the wall clock was set back, everything that waits for a time
/// is moved back with it, so that nobody waits longer than was meant; how far is returned. A wall clock that was set
/// forward moves nothing: what then comes too early is refused by the provider once more, and waits again.
///
/// To be called before a new time is written down, in the same order of transactions.
///
/// # Errors
/// SQLite's.
pub fn follow_clocks(tx: &Tx<'_>) -> Result<Option<TimeDelta>, StoreError> {
    let Some(now) = clocks_now() else { return Ok(None) };
    let before = setting(tx, SETTING)?.and_then(|text| serde_json::from_str::<Clocks>(&text).ok());
    let back = before.as_ref().and_then(|before| now.set_back_since(before));
    if let Some(back) = back {
        move_back(tx, back)?;
    }
    set_setting(tx, SETTING, &serde_json::to_string(&now)?)?;
    Ok(back)
}

fn move_back(tx: &Tx<'_>, back: TimeDelta) -> Result<(), StoreError> {
    for (select, update) in [
        (
            "SELECT id, not_before FROM missions WHERE not_before IS NOT NULL",
            "UPDATE missions SET not_before = ?2 WHERE id = ?1",
        ),
        ("SELECT key, until FROM key_limits", "UPDATE key_limits SET until = ?2 WHERE key = ?1"),
    ] {
        let mut statement = tx.prepare_cached(select)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        for (id, at) in rows.collect::<Result<Vec<_>, _>>()? {
            tx.execute(update, params![id, stamp(parse_stamp(&at) - back)])?;
        }
    }
    Ok(())
}
