//! What not every run has: a terminal, one file for both outputs, a lease, a limit of output, a runner that leaves.

use std::fs;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use sandbox_runner::client::RunnerClient;
use sandbox_runner::protocol::*;

use crate::support::*;

fn with(id: &str, script: &str, options: RunOptions) -> StartRun {
    StartRun { options, ..plan(id, &["sh", "-c", script]) }
}

fn terminal() -> RunOptions {
    RunOptions { output: Output::Terminal { rows: 7, cols: 33 }, ..RunOptions::default() }
}

fn type_in(host: &Host, id: &str, offset: u64, data: &str) -> RunState {
    state(host.control.ask(&Request::WriteStdin { run_id: id.into(), offset, data: data.into() }))
}

#[test]
fn a_terminal_is_what_the_run_sees_on_all_three_and_what_controls_it() {
    let host = Host::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && tty <&2 && cut -d' ' -f6-8 /proc/$$/stat; ps -o tty= -p $$";
    host.control.start(with("seen", script, terminal()), &[]);
    let exit = host.control.exit("seen");
    let shown = host.control.output("seen", "stdout.log");
    assert_eq!(exit.exit_code, Some(0), "{shown}");
    assert!(shown.starts_with("7 33\r\n/dev/pts/"), "{shown:?}");
    assert!(shown.lines().last().unwrap().starts_with("pts/"), "it is the controlling terminal: {shown:?}");
    assert_eq!((exit.stdout_bytes, exit.stderr_bytes), (shown.len() as u64, 0));
}

#[test]
fn a_terminal_is_typed_into_and_its_keys_mean_what_they_say() {
    let host = Host::new();
    host.control.start(with("keys", "trap 'echo caught' INT; cat; echo end; cat", terminal()), &[]);
    let shown = host.control.run_dir("keys").join("stdout.log");
    type_in(&host, "keys", 0, "grüße\n");
    wait_for_text(&shown, "grüße\r\ngrüße\r\n");
    // ^C goes to the program, and the shell notices.
    type_in(&host, "keys", 8, "\u{3}");
    wait_for_text(&shown, "end");
    assert!(fs::read_to_string(&shown).unwrap().contains("caught"));
    host.control.ask(&Request::CloseStdin { run_id: "keys".into() });
    assert_eq!(host.control.exit("keys").exit_code, Some(0));
}

#[test]
fn everything_a_terminal_showed_is_kept_before_the_end_is_recorded() {
    let host = Host::new();
    host.control.start(with("much", "seq 1 200000", terminal()), &[]);
    let exit = host.control.exit("much");
    let shown = host.control.output("much", "stdout.log");
    assert_eq!(shown.lines().count(), 200_000);
    assert!(shown.ends_with("200000\r\n"));
    assert_eq!(exit.stdout_bytes, shown.len() as u64);
}

#[test]
fn a_run_that_lets_go_of_its_terminal_goes_on() {
    let host = Host::new();
    let script = "exec <&- >&- 2>&-; sleep 0.2; exit 4";
    host.control.start(with("gone", script, terminal()), &[]);
    assert_eq!(host.control.exit("gone").exit_code, Some(4));
}

#[test]
fn both_outputs_in_one_file_keep_their_order() {
    let host = Host::new();
    let options = RunOptions { output: Output::Merged, ..RunOptions::default() };
    host.control.start(with("both", "echo a; echo b >&2; echo c; echo d >&2", options), &[]);
    let exit = host.control.exit("both");
    assert_eq!(host.control.output("both", "stdout.log"), "a\nb\nc\nd\n");
    assert_eq!((exit.stdout_bytes, exit.stderr_bytes), (8, 0));
}

#[test]
fn a_run_ends_with_the_last_holder_of_its_lease() {
    let host = Host::new();
    let options = RunOptions { has_lease_fd: true, ..RunOptions::default() };
    let (read, write) = nix::unistd::pipe().unwrap();
    let copy = write.try_clone().unwrap();
    for id in ["one", "two"] {
        let script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done";
        host.control.start(with(id, script, options.clone()), &[read.as_fd()]);
        wait_for_text(&host.control.run_dir(id).join("stdout.log"), "up");
    }
    host.control.start(with("free", "sleep 1000", RunOptions::default()), &[]);
    drop(write);
    let alive = |id: &str| state(host.control.ask(&Request::Status { run_id: id.into() })).pid.is_some();
    assert!(alive("one"), "somebody still holds it");
    drop(copy);
    for id in ["one", "two"] {
        let exit = host.control.exit(id);
        assert_eq!((exit.exit_code, exit.reason.as_deref()), (Some(3), Some(REASON_LEASE)));
    }
    assert!(alive("free"));
    // A lease that is over before the run began.
    host.control.start(with("late", "sleep 1000", options), &[read.as_fd()]);
    assert_eq!(host.control.exit("late").reason.as_deref(), Some(REASON_LEASE));
}

#[test]
fn too_much_output_ends_a_run_and_only_that() {
    let host = Host::new();
    let limit = RunOptions { max_output_bytes: Some(100_000), ..RunOptions::default() };
    for (id, options) in [
        ("files", limit.clone()),
        ("merged", RunOptions { output: Output::Merged, ..limit.clone() }),
        ("terminal", RunOptions { output: terminal().output, ..limit.clone() }),
    ] {
        host.control.start(with(id, "yes; exit 9", options), &[]);
        let exit = host.control.exit(id);
        assert_eq!((exit.signal, exit.reason.as_deref()), (Some(libc::SIGKILL), Some(REASON_OUTPUT)), "{id}");
        assert!(id != "terminal" || exit.stdout_bytes == 100_000, "{}", exit.stdout_bytes);
    }
    host.control.start(with("less", "head -c 99999 /dev/zero", limit), &[]);
    assert_eq!(host.control.exit("less").exit_code, Some(0));
}

#[test]
fn a_run_whose_directory_is_removed_still_ends() {
    let host = Host::new();
    host.control.start(with("bare", "sleep 1000", RunOptions::default()), &[]);
    fs::remove_dir_all(host.control.run_dir("bare")).unwrap();
    host.control.ask(&Request::Stop { run_id: "bare".into(), grace_ms: 0, reason: "x".into() });
    host.control.start(with("next", "exit 0", RunOptions::default()), &[]);
    host.control.exit("next");
    // Its end has no event; the runner knows it by the time it has reaped a later child.
    let (exit, _) = host.control.shell("last", "exit 0");
    assert_eq!(exit.exit_code, Some(0));
    let ended = state(host.control.ask(&Request::Status { run_id: "bare".into() }));
    assert_eq!(ended.exit.unwrap().signal, Some(libc::SIGKILL));
}

#[test]
fn a_runner_that_may_leaves_when_nobody_needs_it_and_no_sooner() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["host", "--control"]).arg(dir.path()).arg("--until-unused");
    let mut runner = command.stdin(Stdio::null()).spawn().unwrap();
    wait_for(dir.path(), SOCKET_FILE);
    let mut client = RunnerClient::connect(&dir.path().join(SOCKET_FILE)).unwrap();
    let answer = client.request(&Request::Start(plan("short", &["sleep", "0.3"])), &[]).unwrap();
    assert!(state(answer).pid.is_some());
    drop(client);
    assert!(runner.wait().unwrap().success());
    let record = fs::read(dir.path().join(RUNS_DIR).join("short").join(EXIT_FILE)).unwrap();
    assert_eq!(serde_json::from_slice::<ExitRecord>(&record).unwrap().exit_code, Some(0));
    assert!(!dir.path().join(SOCKET_FILE).exists());
}

#[test]
fn requests_of_the_first_version_are_understood() {
    let old = r#"{"op":"start","run_id":"old","attempt":1,"argv":["true"],"env":{},"cwd":"/",
        "stdout_name":"stdout.log","stdin_pipe":false,"join_fds":0,"has_procs_fd":false,"stop_payload":null}"#;
    let Request::Start(start) = serde_json::from_str(old).unwrap() else { panic!("another request") };
    assert_eq!(start.options, RunOptions::default());
    let host = Host::new();
    host.control.start(start, &[]);
    assert_eq!(host.control.exit("old").exit_code, Some(0));
    let program = Command::new(PROGRAM).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(!program.success());
}
