//! From arguments to an exit status.

use std::process::ExitCode;

use clap::Parser;
use sandboxed_domain::api::{ApiError, ErrorCode};

use super::args::{Cli, Command, EgressMode};
use super::{backend, cleanup, connect, daemon, demo, doctor, library, mission, out, smoke, workspace};

/// Exit status of a verb that has done what it was asked to: 0, unless the verb passes on somebody else's.
pub(super) type Outcome = Result<u8, ApiError>;

/// Parses the process's arguments, does it, and shows an error if there is one.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            out::error(&error);
            ExitCode::from(u8::try_from(error.code.exit_status()).unwrap_or(1))
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Serve(address) => wait_for(daemon::serve(address)),
        Command::Daemon { verb } => wait_for(daemon::run(verb)),
        Command::Doctor(args) => wait_for(doctor::run(args)),
        Command::Demo(args) => wait_for(demo::run(args)),
        Command::Smoke(args) => wait_for(smoke::run(args)),
        Command::Connect(args) => connect::run(&args),
        Command::Mission { verb } => wait_for(mission::run(verb)),
        Command::Workspace { verb } => wait_for(workspace::run(verb)),
        Command::Library { verb } => wait_for(library::run(verb)),
        Command::Cleanup(args) => wait_for(cleanup::run(args)),
        Command::Egress { mode } => {
            let allow = match mode {
                EgressMode::Nat => None,
                EgressMode::Allowlist { rules } => Some(rules),
            };
            crate::sandbox::egress::run(allow)
                .map(|()| 0)
                .map_err(|why| ApiError::new(ErrorCode::Internal, why))
        }
        Command::Backend { verb } => wait_for(backend::run(verb)),
    }
}

fn wait_for(verb: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ApiError::new(ErrorCode::Internal, format!("async runtime: {e}")))?;
    let outcome = runtime.block_on(verb);
    // A blocking read of stdin cannot be interrupted and must not hold the exit up.
    runtime.shutdown_background();
    outcome
}
