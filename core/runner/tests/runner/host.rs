//! The real program in `host` mode.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;
use sandbox_runner::client::RunnerClient;
use sandbox_runner::protocol::*;

#[test]
fn output_is_complete_and_the_record_true() {
    let host = Host::new();
    let (exit, output) = host.control.shell("numbers", "seq 1 100000; echo oops >&2; exit 7");
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(output, expected);
    assert_eq!(host.control.output("numbers", STDERR_FILE), "oops\n");
    assert_eq!((exit.exit_code, exit.signal, exit.reason), (Some(7), None, None));
    assert_eq!((exit.stdout_bytes, exit.stderr_bytes), (expected.len() as u64, 5));
    assert_eq!((exit.attempt, exit.leftovers_killed), (3, 0));
    assert!(exit.started_at_ms > 0 && exit.started_at_ms <= exit.ended_at_ms);
    let metadata: RunMetadata = serde_json::from_str(&host.control.output("numbers", METADATA_FILE)).unwrap();
    assert_eq!((metadata.attempt, metadata.argv[0].as_str()), (3, "sh"));
}

#[test]
fn a_signal_is_recorded_as_one() {
    let host = Host::new();
    let (exit, _) = host.control.shell("sig", "kill -USR1 $$");
    assert_eq!((exit.exit_code, exit.signal), (None, Some(libc::SIGUSR1)));
    let (exit, _) = host.control.shell("realtime", "kill -40 $$");
    assert_eq!(exit.signal, Some(40));
    host.control.start(plan("asked", &["sleep", "1000"]), &[]);
    host.control.ask(&Request::Signal { run_id: "asked".into(), signal: libc::SIGINT, group: true });
    assert_eq!(host.control.exit("asked").signal, Some(libc::SIGINT));
}

#[test]
fn what_cannot_start_ends_with_the_reason() {
    let host = Host::new();
    let reason = |run_id: &str, change: &dyn Fn(&mut StartRun)| {
        let mut start = plan(run_id, &["true"]);
        change(&mut start);
        host.control.start(start, &[]);
        let exit = host.control.exit(run_id);
        assert_eq!((exit.exit_code, exit.signal), (None, None), "{run_id}");
        exit.reason.unwrap()
    };
    let path = reason("path", &|s| s.argv = vec!["no-such-program".into()]);
    assert_eq!(path, "spawn: program not found in PATH: no-such-program");
    let absolute = reason("absolute", &|s| s.argv = vec!["/no/such".into()]);
    assert_eq!(absolute, "spawn: program, or the interpreter it names, not found: /no/such");
    let cwd = reason("cwd", &|s| s.cwd = "/no/such".into());
    assert_eq!(cwd, "spawn: working directory not found: /no/such");
    let denied = reason("denied", &|s| s.argv = vec!["/etc/passwd".into()]);
    assert_eq!(denied, "spawn: program /etc/passwd: Permission denied (os error 13)");
    assert_eq!(reason("none", &|s| s.argv.clear()), "spawn: no program given");
    let long = reason("long", &|s| s.cwd = "ö".repeat(2000));
    assert!(long.starts_with("spawn: working directory ö") && long.len() <= 1024, "{}", long.len());
    assert!(reason("nul", &|s| s.cwd = "a\0b".into()).contains("zero byte"));
}

#[test]
fn the_process_gets_exactly_what_was_planned() {
    let host = Host::new();
    let mut start = plan("exact", &["sh", "-c"]);
    start
        .argv
        .push("env; pwd; ls /proc/$$/fd; grep -E 'Sig(Blk|Ign)|Umask' /proc/self/status; ulimit -n".into());
    start.env.insert("A".into(), "1 2".into());
    start.cwd = "/tmp".into();
    host.control.start(start, &[]);
    host.control.exit("exact");
    let output = host.control.output("exact", "stdout.log");
    let ulimit = Command::new("sh").args(["-c", "ulimit -n"]).output().unwrap();
    for line in ["A=1 2", "/tmp", "0", "1", "2"] {
        assert!(output.lines().any(|l| l == line), "{line} in {output}");
    }
    assert!(!output.lines().any(|l| l == "3"), "only three descriptors: {output}");
    for mask in ["SigBlk", "SigIgn"] {
        assert!(output.contains(&format!("{mask}:\t0000000000000000")), "{output}");
    }
    assert!(output.ends_with(std::str::from_utf8(&ulimit.stdout).unwrap()), "{output}");
    assert!(!output.contains("HOME="), "nothing of the runner's environment: {output}");
}

#[test]
fn stdin_arrives_once_and_ends() {
    let host = Host::new();
    let mut start = plan("cat", &["cat"]);
    start.stdin_pipe = true;
    host.control.start(start, &[]);
    let write = |offset, data: &str| {
        let data = data.to_owned();
        host.control.ask(&Request::WriteStdin { run_id: "cat".into(), offset, data })
    };
    assert_eq!(state(write(0, "hello ")).stdin_accepted, 6);
    assert_eq!(state(write(0, "hello ")).stdin_accepted, 6);
    assert_eq!(state(write(3, "lo wörld\n")).stdin_accepted, 13);
    assert_eq!(code(write(14, "x")), "stdin_gap");
    let big = "x".repeat(1 << 20);
    for piece in 0..8 {
        state(write(13 + (piece << 20), &big));
    }
    host.control.ask(&Request::CloseStdin { run_id: "cat".into() });
    let exit = host.control.exit("cat");
    assert_eq!(exit.exit_code, Some(0));
    let output = host.control.output("cat", "stdout.log");
    assert!(output.starts_with("hello wörld\nx"));
    assert_eq!(output.len(), 13 + (8 << 20));
}

#[test]
fn a_run_starts_once() {
    let host = Host::new();
    let script = "echo started; sleep 1000";
    let first = host.control.start(plan("once", &["sh", "-c", script]), &[]);
    wait_for_text(&host.control.run_dir("once").join("stdout.log"), "started");
    let second = host.control.start(plan("once", &["sh", "-c", script]), &[]);
    assert_eq!(first, second);
    host.control.ask(&Request::Stop { run_id: "once".into(), grace_ms: 0, reason: "enough".into() });
    let exit = host.control.exit("once");
    assert_eq!((exit.signal, exit.reason.as_deref()), (Some(libc::SIGKILL), Some("enough")));
    let third = host.control.start(plan("once", &["sh", "-c", script]), &[]);
    assert_eq!(third.exit, Some(exit));
    assert_eq!(host.control.output("once", "stdout.log"), "started\n");
}

#[test]
fn records_of_other_runners_are_believed_but_never_overwritten() {
    let host = Host::new();
    let begun = host.control.run_dir("begun");
    fs::write(begun.join(METADATA_FILE), "{}").unwrap();
    let response = host.control.ask(&Request::Start(plan("begun", &["true"])));
    assert_eq!(code(response), "records");
    let unknown = host.control.ask(&Request::Status { run_id: "begun".into() });
    assert!(matches!(unknown, Response::UnknownRun { .. }));

    let (exit, _) = host.control.shell("model", "exit 5");
    let record = serde_json::to_vec(&ExitRecord { run_id: "ended".into(), ..exit }).unwrap();
    fs::write(host.control.run_dir("ended").join(EXIT_FILE), record).unwrap();
    let known = state(host.control.ask(&Request::Status { run_id: "ended".into() }));
    assert_eq!(known.exit.unwrap().exit_code, Some(5));
    assert_eq!(host.control.start(plan("ended", &["true"]), &[]).exit.unwrap().exit_code, Some(5));
    assert!(!host.control.run_dir("ended").join(METADATA_FILE).exists(), "it was not started");
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    let host = Host::new();
    for bad in ["../x", "", "a/b"] {
        assert_eq!(code(host.control.ask(&Request::Start(plan(bad, &["true"])))), "protocol");
    }
    let mut start = plan("good", &["true"]);
    start.stdout_name = "exit.json".into();
    assert_eq!(code(host.control.ask(&Request::Start(start))), "protocol");
}

#[test]
fn stop_asks_first() {
    let host = Host::new();
    host.control
        .start(plan("asks", &["sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"]), &[]);
    wait_for_text(&host.control.run_dir("asks").join("stdout.log"), "up");
    let before = Instant::now();
    host.control.ask(&Request::Stop { run_id: "asks".into(), grace_ms: 60_000, reason: "asked".into() });
    let exit = host.control.exit("asks");
    assert_eq!((exit.exit_code, exit.reason.as_deref()), (Some(9), Some("asked")));
    assert!(before.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_group_does_not_outlive_its_first_process() {
    let host = Host::new();
    let script = "for i in 1 2 3; do (trap '' TERM; exec sleep 1000) & done; echo $$; exit 0";
    let (exit, output) = host.control.shell("group", script);
    assert_eq!((exit.exit_code, exit.leftovers_killed), (Some(0), 3));
    let group: i32 = output.trim().parse().unwrap();
    let gone = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None);
    assert_eq!(gone, Err(nix::Error::ESRCH));
}

#[test]
fn a_client_that_dies_in_the_middle_of_a_frame_harms_nobody() {
    let host = Host::new();
    host.control.start(plan("lives", &["sleep", "1000"]), &[]);
    let socket = host.control.dir.join(SOCKET_FILE);
    for garbage in [&b"\0\0"[..], b"\0\0\x01\0{\"op\":", b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"\0\0\0\0"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(garbage).unwrap();
    }
    let silent: Vec<_> = (0..80).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let alive = state(host.control.ask(&Request::Status { run_id: "lives".into() }));
    assert!(alive.pid.is_some() && alive.exit.is_none());
    drop(silent);
}

#[test]
fn descriptors_that_nobody_announced_end_the_connection() {
    let host = Host::new();
    let mut client = host.control.client();
    let stdin = std::io::stdin();
    let fd = std::os::fd::AsFd::as_fd(&stdin);
    assert_eq!(code(client.request(&Request::Hello, &[fd]).unwrap()), "protocol");
    assert!(client.request(&Request::Hello, &[]).is_err());
    let mut start = plan("short", &["true"]);
    start.join_fds = 1;
    assert_eq!(code(host.control.ask(&Request::Start(start))), "protocol");
}

#[test]
fn fifty_runs_at_once() {
    let host = Host::new();
    std::thread::scope(|scope| {
        for n in 0..50 {
            let control = &host.control;
            scope.spawn(move || {
                let (exit, output) = control.shell(&format!("r{n}"), &format!("seq 1 1000; exit {n}"));
                assert_eq!(exit.exit_code, Some(n));
                assert_eq!(output.lines().count(), 1000);
            });
        }
    });
    match host.control.ask(&Request::Hello) {
        Response::Hello { version, runs } => {
            assert_eq!((version, runs.len()), (PROTOCOL_VERSION, 50));
            assert!(runs.iter().all(|run| run.exit.is_some() && run.pid.is_none()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_has_one_runner_and_the_lock_ends_with_it() {
    let host = Host::new();
    let mut second = Command::new(PROGRAM)
        .args(["host", "--control"])
        .arg(&host.control.dir)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(!second.wait().unwrap().success());
    assert!(stderr_of(&mut second).contains(LOCK_FILE));
    assert!(matches!(host.control.ask(&Request::Hello), Response::Hello { .. }));
}

#[test]
fn shutdown_records_every_run() {
    let mut host = Host::new();
    host.control.start(plan("a", &["sleep", "1000"]), &[]);
    host.control.start(plan("b", &["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]), &[]);
    wait_for_text(&host.control.run_dir("b").join("stdout.log"), "up");
    assert_eq!(host.control.ask(&Request::Shutdown { grace_ms: 50 }), Response::Ok);
    assert!(host.process.wait().unwrap().success());
    assert_eq!(host.control.exit("a").signal, Some(libc::SIGTERM));
    let b = host.control.exit("b");
    assert_eq!((b.signal, b.reason.as_deref()), (Some(libc::SIGKILL), Some("shutdown")));
}

#[test]
fn sockets_in_deep_directories_are_reached() {
    let base = tempfile::tempdir().unwrap();
    let deep = base.path().join("d".repeat(100)).join("e".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    let mut process = spawn_host(&deep);
    wait_for(&deep, SOCKET_FILE);
    let mut client = RunnerClient::connect(&deep.join(SOCKET_FILE)).unwrap();
    assert_eq!(client.request(&Request::Shutdown { grace_ms: 0 }, &[]).unwrap(), Response::Ok);
    assert!(process.wait().unwrap().success());
}
