//! A run that takes too much ends by itself or is told of, and its neighbour does not notice.

use std::time::Duration;

use sandboxed_core::sandbox::LimitEvent;
use sandboxed_domain::sandbox::Limits;

use crate::support::{PATIENCE, Place, script, time_true, wait_exit};

/// A neighbour must not take longer than this beside a bomb: a machine that is busy with others counts for itself.
fn unnoticed(alone: Duration) -> Duration {
    Duration::from_millis(50) + alone * 3
}

/// Median of a neighbour's `true`.
async fn neighbour(sandbox: &sandboxed_core::sandbox::Sandbox, prefix: &str) -> Duration {
    let mut times = Vec::new();
    for n in 0..11 {
        times.push(time_true(sandbox.runner(), &format!("{prefix}-{n}")).await);
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn a_fork_bomb_is_refused_and_its_neighbour_does_not_notice() {
    let place = Place::new("forks");
    let sandbox = place.start().await;
    let alone = neighbour(&sandbox, "alone").await;
    let runner = sandbox.runner();
    let mut bomb = script("bomb", "(b() { b | b & }; while :; do b; done) 2>/dev/null & exec sleep 600");
    bomb.limits = Limits { pids: Some(64), cpu_millis: Some(1000), ..Limits::default() };
    let started = runner.start_run(bomb).await.unwrap();
    let mut watch = started.cgroup.as_ref().unwrap().watch_limits().unwrap();
    let event = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    assert_eq!(event, LimitEvent::ForkRefused);

    let typical = neighbour(&sandbox, "calm").await;
    assert!(typical < unnoticed(alone), "{typical:?}, alone {alone:?}");

    runner.stop_run("bomb", Duration::ZERO, "limit").await.unwrap();
    let ended = wait_exit(&started.dir).await;
    assert_eq!(ended.exit.reason.as_deref(), Some("limit"), "{:?}", ended.exit);
    assert!(started.cgroup.unwrap().processes().unwrap().is_empty());
    let figures = runner.close_run("bomb").await.unwrap();
    assert!(figures.refused_forks > 0 && figures.oom_kills == 0, "{figures:?}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_memory_bomb_is_killed_and_its_neighbour_does_not_notice() {
    let place = Place::new("memory");
    let sandbox = place.start().await;
    let alone = neighbour(&sandbox, "alone").await;
    let runner = sandbox.runner();
    // Again and again, as the kernel kills only the one that grew.
    let mut bomb = script("bomb", "while :; do head -c 400m /dev/zero | tail > /dev/null; done");
    bomb.limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
    let started = runner.start_run(bomb).await.unwrap();
    let mut watch = started.cgroup.as_ref().unwrap().watch_limits().unwrap();
    let event = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    assert_eq!(event, LimitEvent::OutOfMemory);

    let typical = neighbour(&sandbox, "calm").await;
    assert!(typical < unnoticed(alone), "{typical:?}, alone {alone:?}");

    runner.stop_run("bomb", Duration::ZERO, "limit").await.unwrap();
    wait_exit(&started.dir).await;
    let figures = runner.close_run("bomb").await.unwrap();
    assert!(figures.oom_kills > 0 && figures.refused_forks == 0, "{figures:?}");
    assert!(figures.usage.memory_peak_bytes <= 64 << 20, "{figures:?}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}

/// The slower end of a neighbour's `true`: all but one of twenty are faster.
async fn slow_end(sandbox: &sandboxed_core::sandbox::Sandbox, prefix: &str) -> Duration {
    let mut times = Vec::new();
    for n in 0..20 {
        times.push(time_true(sandbox.runner(), &format!("{prefix}-{n}")).await);
    }
    times.sort();
    times[times.len() - 2]
}

#[tokio::test]
async fn bombs_of_one_sandbox_do_not_reach_another() {
    let (one, two) = (Place::new("bombs"), Place::new("calm"));
    let (bombs, calm) = (one.start().await, two.start().await);
    let before = slow_end(&calm, "before").await;
    let limits = Limits { memory_bytes: Some(128 << 20), cpu_millis: Some(500), pids: Some(64) };
    for (name, text) in [
        ("forks", "(b() { b | b & }; while :; do b; done) 2>/dev/null & exec sleep 600"),
        ("memory", "while :; do head -c 400m /dev/zero | tail > /dev/null; done"),
        ("files", "while :; do perl -e 'while (open(my $f, \"/\")) { push @f, $f }'; done"),
        ("names", "cd /tmp; while :; do perl -e 'for (1..99999) { open(my $f, \">\", rand) or exit }'; done"),
        ("queues", "while :; do perl -e 'for (0..9999) { msgget(0, 0600) }'; done"),
    ] {
        let mut bomb = script(name, text);
        bomb.limits = limits;
        bombs.runner().start_run(bomb).await.unwrap();
    }
    let during = slow_end(&calm, "during").await;
    println!(
        "a neighbour's `true`, all but the slowest of twenty: {before:?} alone, {during:?} beside bombs"
    );
    assert!(during < before * 10 + Duration::from_millis(250), "{before:?} {during:?}");
    let said =
        crate::support::say(calm.runner(), "touch /tmp/a && ls / > /tmp/b && (sleep 0 & wait) && echo works")
            .await;
    assert_eq!(said, "works\n");
    for sandbox in [bombs, calm] {
        sandbox.stop(Duration::ZERO).await.unwrap();
    }
}
