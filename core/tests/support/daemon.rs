//! The daemon as a child: start, kill, restart, stop, and the end of everything it made.

use std::fs;
use std::io::{PipeReader, Read};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxed_client::{Client, Settings};
use sandboxed_domain::api::{ErrorCode, ListMissionsParams};
use sandboxed_domain::mission::MissionStatus;

use super::leftovers::Leftovers;
use super::repository::sample_repository;

/// Longest start until it serves.
const START: Duration = Duration::from_secs(120);
/// Longest stop after SIGTERM.
const STOP: Duration = Duration::from_secs(60);
/// Longest time until every mission has ended after it was cancelled.
const CANCEL: Duration = Duration::from_secs(180);

/// A daemon with a directory and a port of its own. End the test with [`Daemon::finish`].
pub struct Daemon {
    root: Option<tempfile::TempDir>,
    /// The executable that the next start runs.
    pub program: PathBuf,
    settings: Settings,
    env: Vec<(String, String)>,
    child: Option<Child>,
    leftovers: Leftovers,
}

impl Daemon {
    /// A daemon that serves.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more environment variables, at every start.
    pub async fn start_with(env: &[(&str, &str)]) -> Self {
        let root = tempfile::Builder::new().prefix("sbx-").rand_bytes(5).tempdir_in("/tmp").unwrap();
        let data = root.path().join("d");
        fs::create_dir_all(&data).unwrap();
        share_images(&data);
        sample_repository(&root.path().join("repo"));
        let port = free_port();
        let settings = Settings::parse(|name| match name {
            "SANDBOXED_SH_DATA_DIR" => Some(data.display().to_string()),
            "SANDBOXED_SH_PORT" => Some(port.to_string()),
            _ => None,
        });
        let mut daemon = Self {
            leftovers: Leftovers::of(root.path(), &data),
            root: Some(root),
            program: env!("CARGO_BIN_EXE_sandboxed-sh").into(),
            settings: settings.unwrap(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            child: None,
        };
        daemon.restart().await;
        daemon
    }

    /// Sets a variable for every start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The test's own directory; the data directory and the sample repository are in it.
    pub fn root(&self) -> &Path {
        self.root.as_ref().unwrap().path()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.settings.data_dir
    }

    /// The sample repository, outside the data directory.
    pub fn repo(&self) -> PathBuf {
        self.root().join("repo")
    }

    /// Settings with which clients find this daemon.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A client with connections of its own.
    pub fn client(&self) -> Client {
        Client::from_settings(&self.settings).unwrap()
    }

    /// The living daemon's pid.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What it has logged in all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.root().join("daemon.log")).unwrap_or_default()
    }

    /// What would be left of it.
    pub fn leftovers(&self) -> &Leftovers {
        &self.leftovers
    }

    /// Kills it with SIGKILL, this one process only, and returns when it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks it to stop (SIGTERM) and returns when it is gone.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        let waited = tokio::task::spawn_blocking(move || child.wait());
        let status =
            tokio::time::timeout(STOP, waited).await.expect("the daemon obeys SIGTERM").unwrap().unwrap();
        assert!(status.success(), "the daemon ended with {status}: {}", self.log());
    }

    /// Starts it (after a kill or stop; a living one is killed first). Returns how long it took until it served.
    pub async fn restart(&mut self) -> Duration {
        let started = Instant::now();
        let reader = self.launch();
        assert!(says_ready(reader).await, "the daemon does not serve: {}", self.log());
        started.elapsed()
    }

    /// Starts it and returns at once; the ready line comes through the pipe.
    pub fn launch(&mut self) -> PipeReader {
        self.kill9();
        let (reader, writer) = std::io::pipe().unwrap();
        let log = fs::File::options().create(true).append(true).open(self.root().join("daemon.log")).unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .env("SANDBOXED_SH_DATA_DIR", &self.settings.data_dir)
            .env("SANDBOXED_SH_PORT", self.settings.port.to_string())
            .env("SANDBOXED_SH_READY_FD", writer.as_raw_fd().to_string())
            .env_remove("SANDBOXED_SH_API_URL")
            .env_remove("SANDBOXED_SH_TOKEN")
            .env_remove("SANDBOXED_SH_TOKEN_FILE")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let fd = writer.as_raw_fd();
        // SAFETY: one system call between fork and exec, on a descriptor that the parent holds open.
        unsafe {
            command.pre_exec(move || {
                fcntl(BorrowedFd::borrow_raw(fd), FcntlArg::F_SETFD(FdFlag::empty()))?;
                Ok(())
            });
        }
        self.child = Some(command.spawn().unwrap());
        reader
    }

    /// Cancels what runs, stops every sandbox and the daemon, removes all files, and asserts that nothing is left.
    pub async fn finish(self) {
        self.finish_after(|| ()).await;
    }

    /// The same; `before` takes away what the test itself put there, when everything has stopped.
    pub async fn finish_after(mut self, before: impl FnOnce()) {
        self.tidy().await;
        before();
        self.remove();
    }

    async fn tidy(&mut self) {
        if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
            self.child = None;
            self.restart().await;
        }
        let client = self.client();
        cancel_all(&client).await;
        for workspace in client.list_workspaces().await.unwrap() {
            let id = workspace.id.to_string();
            client.stop_workspace(&id).await.unwrap();
            if workspace.limits.disk_bytes.is_some() {
                // Its disk is mounted for as long as it is there.
                client.destroy_workspace(&id).await.unwrap();
            }
        }
        self.stop().await;
    }

    fn remove(&mut self) {
        let Some(root) = self.root.take() else { return };
        let found = self.leftovers.find();
        let log = fs::read_to_string(root.path().join("daemon.log")).unwrap_or_default();
        assert!(found.is_empty(), "left behind: {found:#?}\nlog: {log}");
        root.close().unwrap();
    }
}

impl Drop for Daemon {
    /// A failed test tidies up too, in a runtime of its own; what it finds then is only told.
    fn drop(&mut self) {
        if self.root.is_none() {
            return;
        }
        let log = self.log();
        let tail = log.lines().rev().take(60).collect::<Vec<_>>();
        eprintln!("the daemon's log ends:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        std::thread::scope(|scope| {
            let tidying = scope.spawn(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(self.tidy());
                self.remove();
            });
            if tidying.join().is_err() {
                eprintln!("tidying up failed");
            }
        });
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Cancels every mission and returns when all have ended.
async fn cancel_all(client: &Client) {
    let open = MissionStatus::ALL.into_iter().filter(|status| !status.is_ended());
    let status = open.map(MissionStatus::as_str).collect::<Vec<_>>().join(",");
    let params = ListMissionsParams { status: Some(status), limit: Some(200), ..Default::default() };
    let until = Instant::now() + CANCEL;
    loop {
        let left = client.list_missions(&params).await.unwrap().missions;
        if left.is_empty() {
            return;
        }
        for mission in &left {
            let cancelled = client.cancel_mission(mission.id).await;
            // It may have ended since it was listed.
            assert!(
                cancelled.as_ref().map_or_else(|e| e.code == ErrorCode::WrongState, |_| true),
                "{cancelled:?}"
            );
        }
        assert!(Instant::now() < until, "these missions do not end: {left:#?}");
        // Tidying only: a test itself waits for events.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads the ready line, on a thread of its own; a hanging daemon is ended by the test's own time-out.
async fn says_ready(mut reader: PipeReader) -> bool {
    let read = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).is_ok() && said == "ready\n"
    });
    tokio::time::timeout(START, read).await.is_ok_and(|said| said.unwrap())
}

/// All tests of a machine share their images, so that one is built only once.
fn share_images(data: &Path) {
    let images = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-images");
    fs::create_dir_all(&images).unwrap();
    std::os::unix::fs::symlink(images, data.join("images")).unwrap();
}

/// A free port below the kernel's range for outgoing connections, so that none takes it while the daemon is down.
fn free_port() -> u16 {
    let mut random = [0_u8; 2];
    loop {
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let port = 20_000 + u16::from_le_bytes(random) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
