//! The misdeeds of `wicked` are what they say.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getsid},
};

fn wicked(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wicked"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn output(args: &[&str]) -> Output {
    wicked(args).output().unwrap()
}

/// Starts and reads the first line, which comes when the misdeed is under way.
fn started(args: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = wicked(args).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    (child, stdout, line.trim().to_owned())
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

#[test]
fn numbers_come_each_on_a_line() {
    assert_eq!(output(&["numbers", "3", "--delay-ms", "1"]).stdout, b"1\n2\n3\n");
}

#[test]
fn flood_writes_exactly_the_bytes_asked_for() {
    for bytes in ["0", "79", "80", "1000003"] {
        assert_eq!(output(&["flood", bytes]).stdout.len().to_string(), bytes);
    }
}

#[test]
fn die_mid_line_leaves_half_a_line_and_dies_by_a_signal() {
    let output = output(&["die-mid-line"]);
    assert_eq!(output.status.signal(), Some(9));
    assert!(output.stdout.starts_with(b"{\"type\":\"whole\"}\n{") && !output.stdout.ends_with(b"\n"));
}

#[test]
fn print_env_prints_all_and_nothing_else() {
    let output = wicked(&["print-env"]).env_clear().envs([("B", "2"), ("A", "1")]).output().unwrap();
    assert_eq!(output.stdout, b"A=1\nB=2\n");
}

#[test]
fn hang_ends_at_sigterm() {
    let (mut child, _stdout, line) = started(&["hang"]);
    assert_eq!(line, "hanging");
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn ignore_term_blocks_sigterm_and_sigint() {
    let (mut child, _stdout, line) = started(&["ignore-term"]);
    assert_eq!(line, "ignoring");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        assert_ne!(blocked & (1 << (signal as i32 - 1)), 0, "{signal}");
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn hang_ends_with_its_life_span() {
    assert!(output(&["hang", "--seconds", "0"]).status.success());
}

#[test]
fn fork_grandchild_leaves_a_process_in_a_session_of_its_own() {
    let (mut child, mut rest, line) = started(&["fork-grandchild"]);
    let orphan = Pid::from_raw(line.strip_prefix("grandchild ").unwrap().parse().unwrap());
    assert!(child.wait().unwrap().success());
    rest.read_to_string(&mut String::new()).unwrap();
    assert_eq!(getsid(Some(orphan)), Ok(orphan));
    kill(orphan, Signal::SIGKILL).unwrap();
}

#[test]
fn bombs_that_nothing_stops_say_so() {
    let memory = output(&["memory-bomb", "--limit-mib", "32"]);
    assert_eq!((memory.status.code(), memory.stdout.as_slice()), (Some(3), b"16 MiB\n32 MiB\n".as_slice()));
    let forks = output(&["fork-bomb", "--limit", "3", "--seconds", "0"]);
    assert_eq!(forks.status.code(), Some(3));
}
