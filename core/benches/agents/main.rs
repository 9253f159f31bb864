//! What a plain turn of each agent costs with us, beside the same CLI alone on the host: from the order to the answer,
//! and the memory of the agent's processes at their highest. The model is the stub, so it takes no time of its own.
//!
//! `cargo bench -p sandboxed-core --bench agents [-- ID…]`, as root, after `cargo run --release -- doctor --fix`, with
//! the CLIs of `eval "$(bash .ci/test --env)"`. Ids are those of the backends; none means all.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints its figures and stops at the first fault"
)]

mod bare;
mod figures;
mod sampler;

#[path = "../../tests/agents/mod.rs"]
mod agents;
#[path = "../../tests/client/mod.rs"]
mod client;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use sandboxed_domain::mission::MissionStatus;
use sandboxed_testkit::stub::{Script, Step};

use agents::{SUBJECTS, Stage, Subject};
use figures::Figures;
use sampler::Sampler;

/// Turns of each, by turns, after one that warms up.
const TURNS: usize = 5;
const PROMPT: &str = "go [[s]]";

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |id: &str| chosen.is_empty() || chosen.iter().any(|one| one == id);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{}", figures::HEAD);
    for subject in SUBJECTS.iter().filter(|subject| wanted(subject.id)) {
        println!("{}", runtime.block_on(measure(subject)));
    }
}

async fn measure(subject: &Subject) -> String {
    let stage = Stage::new(&[subject], Script::default().scenario("s", [Step::text("DONE: it is")])).await;
    let home = stage.daemon.root().join("alone");
    let (mut alone, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..=TURNS {
        alone.push(bare::turn(subject, &home, &stage.stub).await);
        ours.push(turn(&stage, subject).await);
    }
    stage.daemon.finish().await;
    figures::row(subject.id, Figures::median(&alone), Figures::median(&ours))
}

/// A worker from the call that creates it to the boss's wake; its sandbox is there from the second on.
async fn turn(stage: &Stage, subject: &Subject) -> Figures {
    let begun = Instant::now();
    let worker = stage.worker(subject.worker(PROMPT)).await;
    let sampler = Sampler::start(format!("SANDBOXED_SH_MISSION_ID={worker} "));
    let record = stage.end(worker).await;
    let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(record.status, MissionStatus::Completed, "{record:#?}");
    Figures { milliseconds, mib: sampler.stop() }
}
