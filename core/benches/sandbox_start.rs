//! How long until something runs in a new sandbox, and in a running one, against the same of plain systemd-nspawn and
//! of the kernel alone, interleaved in one run so that the machine's load is the same for all. Needs root.
//!
//! `cargo bench -p sandboxed-core --bench sandbox_start`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints a table")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/sandbox/support.rs"]
mod support;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use sandboxed_core::sandbox::RunnerHandle;
use support::{Place, script, time_true};

const ROUNDS: usize = 30;

/// From the start of nspawn to the first byte that its command prints.
fn plain_nspawn(place: &Place, filter: bool) -> Duration {
    let begun = Instant::now();
    let mut command = Command::new("systemd-nspawn");
    command.args(["-q", "--register=no", "--keep-unit", "--console=pipe", "--settings=no", "--read-only"]);
    command.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off", "--bind-ro=/usr"]);
    command.arg(format!("--machine={}-plain", place.spec.machine));
    command.arg("-D").arg(&place.spec.image).args(["/bin/sh", "-c", "echo up"]);
    if !filter {
        command.env("SYSTEMD_SECCOMP", "0");
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let taken = begun.elapsed();
    child.wait().unwrap();
    taken
}

/// A process of the host: fork, exec, wait.
fn fork_and_exec() -> Duration {
    let begun = Instant::now();
    Command::new("/bin/sh").args(["-c", "exec true"]).status().unwrap();
    begun.elapsed()
}

/// Starts a run that prints and waits for its first byte, woken by the kernel.
async fn first_output(runner: &RunnerHandle) {
    let started = runner.start_run(script("first", "echo up")).await.unwrap();
    let inotify = Inotify::init().unwrap();
    inotify.watches().add(&started.dir, WatchMask::MODIFY).unwrap();
    let mut events = inotify.into_event_stream([0; 1024]).unwrap();
    let output = started.dir.join("stdout.log");
    while std::fs::metadata(&output).map_or(0, |m| m.len()) == 0 {
        events.next().await.unwrap().unwrap();
    }
    // Closing waits for the kernel.
    tokio::task::spawn_blocking(move || drop(events));
}

fn row(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    let millis = |d: Duration| d.as_secs_f64() * 1000.0;
    println!("{what:<58} {:>8.2} {:>8.2}", millis(at(50)), millis(at(99)));
    at(50)
}

#[tokio::main]
async fn main() {
    let place = Place::new("bench");
    // The first start also looks at the host.
    place.start().await.stop(Duration::ZERO).await.unwrap();

    let (mut filtered, mut unfiltered, mut started, mut first) = (vec![], vec![], vec![], vec![]);
    let (mut running, mut host, mut stopped) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        filtered.push(plain_nspawn(&place, true));
        unfiltered.push(plain_nspawn(&place, false));
        let begun = Instant::now();
        let sandbox = place.start().await;
        started.push(begun.elapsed());
        first_output(sandbox.runner()).await;
        first.push(begun.elapsed());
        for again in 0..3 {
            running.push(time_true(sandbox.runner(), &format!("again-{round}-{again}")).await);
            host.push(fork_and_exec());
        }
        let begun = Instant::now();
        sandbox.stop(Duration::ZERO).await.unwrap();
        stopped.push(begun.elapsed());
    }

    println!("{:<58} {:>8} {:>8}", format!("milliseconds, {ROUNDS} rounds"), "p50", "p99");
    row("plain nspawn, its own filter: create to first output", filtered);
    let floor = row("plain nspawn, no filter: create to first output", unfiltered);
    row("sandbox, every defence: create to ready", started);
    let ours = row("sandbox, every defence: create to first output", first);
    row("sandbox: stop, clean and checked", stopped);
    row("run of `true` in a running sandbox, to its exit record", running);
    row("fork and exec of `true` on the host", host);
    println!(
        "create to first output against nspawn without filter: {:.2}",
        ours.as_secs_f64() / floor.as_secs_f64()
    );
}
