//! The runner and the daemon are two lives: the daemon is killed at random moments, stopped, and replaced by another
//! build, hundreds of times, while workers print numbered lines in a sandbox and on the host. Nothing is lost, nothing is
//! doubled, nobody runs twice, and nothing is left at the end.
//!
//! `SANDBOXED_SH_TEST_SEED` repeats a run's choices, `SANDBOXED_SH_TEST_KILLS` changes how many kills there are.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test tells its figures")]

mod boss;
mod checks;
mod killer;
mod plan;
mod random;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use boss::Boss;
use killer::Killer;
use random::Random;
use support::Daemon;

/// Longest time of everything.
const PATIENCE: Duration = Duration::from_secs(420);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_kills_the_daemon_no_line_is_lost_or_doubled_and_nobody_runs_twice() {
    let seed = number("SANDBOXED_SH_TEST_SEED").unwrap_or_else(Random::any_seed);
    let kills = number("SANDBOXED_SH_TEST_KILLS").unwrap_or(200);
    println!("SANDBOXED_SH_TEST_SEED={seed} SANDBOXED_SH_TEST_KILLS={kills}");
    let mut daemon = Daemon::start_with(&[("SANDBOXED_SH_MAX_PARALLEL", "8")]).await;
    let everything = async {
        let boss = Arc::new(Boss::new(&daemon, "boss"));
        let creating = tokio::spawn(Arc::clone(&boss).create_until_told(Random::new(seed)));
        let waiting = tokio::spawn(Arc::clone(&boss).wait_until_all_have_finished());
        let mut killer = Killer::new(Random::new(seed + 1), Arc::clone(&boss));
        killer.kill(&mut daemon, kills).await;
        boss.no_more();
        creating.await.unwrap();
        waiting.await.unwrap();
        killer.figures.print();
        checks::everything(&daemon, &boss).await;
    };
    tokio::time::timeout(PATIENCE, everything).await.expect("it ends in time");
    daemon.finish().await;
}
