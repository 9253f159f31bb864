//! The program `sandbox-runner`. It is started by the daemon, not by people:
//!
//! - `init --control DIR`: PID 1 of a container;
//! - `host --control DIR [--until-unused]`: supervisor of a host workspace;
//! - `launch`: starts a container, see [`sandbox_runner::launch`];
//! - `try WHAT [DIR]`: whether this host does one thing that sandboxes need, see [`sandbox_runner::launch::trial`];
//! - `seccomp-table`: prints what the syscall filter decides, one `name number verdict` a line.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use sandbox_runner::host::{self, Leave};
use sandbox_runner::init;

const USAGE: &str = "usage: sandbox-runner init|host --control DIR";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["init", "--control", dir] => init::run(Path::new(dir)),
        ["host", "--control", dir] => host::run(Path::new(dir), Leave::WhenTold),
        ["host", "--control", dir, "--until-unused"] => host::run(Path::new(dir), Leave::WhenUnused),
        ["launch", ..] => return sandbox_runner::launch::main(),
        ["try", what] => return sandbox_runner::launch::trial::main(what, None),
        ["try", what, dir] => return sandbox_runner::launch::trial::main(what, Some(Path::new(dir))),
        ["seccomp-table"] => seccomp_table(),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "sandbox-runner: {message}");
            ExitCode::FAILURE
        }
    }
}

fn seccomp_table() -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    for entry in sandbox_runner::seccomp::table() {
        let line = writeln!(out, "{} {} {}", entry.name, entry.number, entry.verdict.word());
        line.map_err(|error| error.to_string())?;
    }
    Ok(())
}
