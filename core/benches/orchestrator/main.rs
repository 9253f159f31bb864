//! What a boss feels of the whole product: the real daemon, the minimal image, real sandboxes, and `mcp-orchestrator`
//! over stdio, each figure beside the floor or the peer that was measured in the same run.
//!
//! `cargo bench -p sandboxed-core --bench orchestrator [-- NAME…]`, as root, after
//! `cargo run --release -- doctor --fix`. Names: `memory tools batch forks wake events restart`; none means all.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints its figures and stops at the first fault"
)]

mod batch;
mod events;
mod forks;
mod mcp;
mod memory;
mod restart;
mod setting;
mod table;
mod tools;
mod wake;

#[path = "../../tests/support/mod.rs"]
mod support;

fn main() {
    let mut args = std::env::args().skip(1);
    // The daemon takes this very program for Claude Code.
    if std::env::args().any(|arg| arg == "--version" || arg == "--output-format") {
        return events::speak();
    }
    let chosen: Vec<String> = args.by_ref().filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        table::head();
        if wanted("memory") {
            memory::measure().await;
        }
        if wanted("tools") {
            tools::measure().await;
        }
        if wanted("batch") {
            batch::measure().await;
        }
        if wanted("forks") {
            forks::measure().await;
        }
        if wanted("wake") {
            wake::measure().await;
        }
        if wanted("events") {
            events::measure().await;
        }
        if wanted("restart") {
            restart::measure().await;
        }
    });
}
