//! The runner's command line; internal, spoken only by the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("launch") => sandbox_runner::launch::main(),
        _ => ExitCode::from(2),
    }
}
