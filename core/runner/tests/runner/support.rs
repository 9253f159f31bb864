//! What the tests share: a runner in a directory of its own, and waiting for files to appear.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use sandbox_runner::client::RunnerClient;
use sandbox_runner::protocol::*;
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox-runner");
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `name` is in `dir`.
pub fn wait_for(dir: &Path, name: &str) {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
    let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MODIFY;
    inotify.add_watch(dir, events).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !dir.join(name).exists() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{name} did not appear in {}", dir.display());
        let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
        let _ = inotify.read_events();
    }
}

/// Waits until the file has `text` in it.
pub fn wait_for_text(file: &Path, text: &str) {
    let dir = file.parent().unwrap();
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
    inotify.add_watch(dir, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MODIFY).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(file).unwrap_or_default().contains(text) {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{text:?} did not appear in {}", file.display());
        let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
        let _ = inotify.read_events();
    }
}

/// A control directory and what is done through it.
pub struct Control {
    pub dir: PathBuf,
}

impl Control {
    pub fn client(&self) -> RunnerClient {
        RunnerClient::connect(&self.dir.join(SOCKET_FILE)).unwrap()
    }

    pub fn run_dir(&self, run_id: &str) -> PathBuf {
        let dir = self.dir.join(RUNS_DIR).join(run_id);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    pub fn ask(&self, request: &Request) -> Response {
        self.client().request(request, &[]).unwrap()
    }

    /// Starts it; panics when the answer is not its state.
    pub fn start(&self, start: StartRun, fds: &[BorrowedFd<'_>]) -> RunState {
        self.run_dir(&start.run_id);
        state(self.client().request(&Request::Start(start), fds).unwrap())
    }

    pub fn exit(&self, run_id: &str) -> ExitRecord {
        let dir = self.run_dir(run_id);
        wait_for(&dir, EXIT_FILE);
        serde_json::from_slice(&std::fs::read(dir.join(EXIT_FILE)).unwrap()).unwrap()
    }

    pub fn output(&self, run_id: &str, name: &str) -> String {
        std::fs::read_to_string(self.run_dir(run_id).join(name)).unwrap()
    }

    /// Runs a shell script to its end; its record and stdout.
    pub fn shell(&self, run_id: &str, script: &str) -> (ExitRecord, String) {
        self.start(plan(run_id, &["sh", "-c", script]), &[]);
        (self.exit(run_id), self.output(run_id, "stdout.log"))
    }
}

/// A host runner; shut down and waited for at the end.
pub struct Host {
    pub control: Control,
    pub process: Child,
    _dir: TempDir,
}

impl Host {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = spawn_host(dir.path());
        wait_for(dir.path(), SOCKET_FILE);
        Self { control: Control { dir: dir.path().to_owned() }, process, _dir: dir }
    }
}

pub fn spawn_host(dir: &Path) -> Child {
    Command::new(PROGRAM).args(["host", "--control"]).arg(dir).stdin(Stdio::null()).spawn().unwrap()
}

impl Drop for Host {
    fn drop(&mut self) {
        let path = self.control.dir.join(SOCKET_FILE);
        let told = RunnerClient::connect(&path)
            .and_then(|mut client| client.request(&Request::Shutdown { grace_ms: 0 }, &[]));
        if told.is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

pub fn plan(run_id: &str, argv: &[&str]) -> StartRun {
    StartRun {
        run_id: run_id.into(),
        attempt: 3,
        argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        cwd: "/".into(),
        stdout_name: "stdout.log".into(),
        stdin_pipe: false,
        join_fds: 0,
        has_procs_fd: false,
        stop_payload: None,
        options: RunOptions::default(),
    }
}

pub fn state(response: Response) -> RunState {
    match response {
        Response::Run(state) => state,
        other => panic!("{other:?}"),
    }
}

pub fn code(response: Response) -> String {
    match response {
        Response::Failed { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

/// All of a child's stderr.
pub fn stderr_of(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}
