//! The daemon's lifecycle, end to end with `examples/serve.rs` as the daemon.

#![expect(clippy::unwrap_used, reason = "helpers of a test may panic as the test itself may")]

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::Mutex,
};

use sandboxed_client::{
    Settings,
    daemon::{self, DaemonLock, Notice, ProcessId, StartOptions, StartOutcome, StateFiles, StopOutcome},
};
use sandboxed_domain::api::ErrorCode;

/// A data directory with a port of its own; stops its daemon at the end, whatever the test did.
struct Place {
    dir: tempfile::TempDir,
    settings: Settings,
    options: StartOptions,
    notices: Mutex<Vec<Notice>>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let settings = Settings::parse(|name| match name {
            "SANDBOXED_SH_DATA_DIR" => data.to_str().map(str::to_owned),
            "SANDBOXED_SH_PORT" => Some(free_port().to_string()),
            _ => None,
        });
        let program = dir.path().join("sandboxed-sh");
        fs::copy(example(), &program).unwrap();
        let options = StartOptions { program: Some(program), ..StartOptions::default() };
        Self { dir, settings: settings.unwrap(), options, notices: Mutex::default() }
    }

    fn behave(&self, how: &str) {
        fs::write(self.settings.data_dir.join("behaviour"), how).unwrap();
    }

    fn files(&self) -> StateFiles {
        StateFiles::new(&self.settings)
    }

    async fn start(&self) -> ProcessId {
        let outcome = daemon::start(&self.settings, &self.options).await.unwrap();
        assert!(matches!(outcome, StartOutcome::Started(_)), "{outcome:?}");
        self.files().running().unwrap()
    }

    async fn ensure(&self) -> Result<sandboxed_client::Client, sandboxed_domain::api::ApiError> {
        let notice = |n| self.notices.lock().unwrap().push(n);
        daemon::ensure_running(&self.settings, &self.options, &notice).await
    }

    async fn status(&self) -> daemon::DaemonStatus {
        daemon::status(&self.settings, &self.options).await.unwrap()
    }

    fn starts(&self) -> usize {
        let log = fs::read_to_string(self.files().log).unwrap_or_default();
        log.matches("serving as pid").count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(process) = self.files().running() {
            let pid = rustix::process::Pid::from_raw(process.pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Cargo builds examples beside the tests' `deps` directory.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/serve")
}

/// Gives the executable another build id, as a new build would.
fn rebuild(program: &Path) {
    let id = daemon::build_id_of(program).unwrap();
    let bytes: Vec<u8> = (0..6).map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).unwrap()).collect();
    let mut file = fs::read(program).unwrap();
    let at = file.windows(6).position(|w| w == bytes).unwrap();
    file[at] ^= 0xff;
    fs::remove_file(program).unwrap();
    fs::write(program, file).unwrap();
    fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn start_status_stop() {
    let place = Place::new();
    assert!(!place.status().await.running);
    assert_eq!(daemon::stop(&place.settings).await.unwrap(), StopOutcome::NotRunning);
    let process = place.start().await;
    let again = daemon::start(&place.settings, &place.options).await.unwrap();
    assert_eq!(again, StartOutcome::AlreadyRunning(process));
    let status = place.status().await;
    assert!(status.running && status.healthy && !status.outdated, "{status:?}");
    assert_eq!(status.pid, Some(process.pid));
    assert_eq!(status.build_id, Some(daemon::build_id_of(&example()).unwrap()));
    assert_eq!(daemon::stop(&place.settings).await.unwrap(), StopOutcome::Stopped(process));
    assert!(!process.is_alive());
    let files = place.files();
    assert!(!files.pid.exists() && !files.version.exists(), "state files are removed");
    assert!(!place.status().await.running);
}

#[tokio::test]
async fn the_daemon_leads_a_session_of_its_own() {
    let place = Place::new();
    let process = place.start().await;
    let pid = rustix::process::Pid::from_raw(process.pid.cast_signed()).unwrap();
    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
}

#[tokio::test]
async fn the_token_is_in_no_argument_of_the_daemon() {
    let mut place = Place::new();
    place.settings.token = sandboxed_client::TokenSource::Fixed(sandboxed_client::Token::new("s3cr3t"));
    let process = place.start().await;
    let argv = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap();
    assert!(!String::from_utf8_lossy(&argv).contains("s3cr3t"));
    let log = fs::read_to_string(place.files().log).unwrap();
    assert!(!log.contains("s3cr3t"));
}

#[tokio::test]
async fn a_daemon_that_ignores_sigterm_is_killed_after_five_seconds() {
    let place = Place::new();
    place.behave("stubborn");
    let process = place.start().await;
    let before = std::time::Instant::now();
    assert_eq!(daemon::stop(&place.settings).await.unwrap(), StopOutcome::Killed(process));
    assert!((5.0..20.0).contains(&before.elapsed().as_secs_f64()), "{:?}", before.elapsed());
    assert!(!place.files().pid.exists());
}

#[tokio::test]
async fn a_pid_file_left_by_kill_9_hinders_nothing() {
    let place = Place::new();
    let process = place.start().await;
    let handle = rustix::process::Pid::from_raw(process.pid.cast_signed()).unwrap();
    rustix::process::kill_process(handle, rustix::process::Signal::KILL).unwrap();
    // The kernel gives the lock back when the process is gone: taking it waits for exactly that.
    let lock = fs::File::open(place.files().lock).unwrap();
    lock.lock().unwrap();
    lock.unlock().unwrap();
    assert!(place.files().pid.exists());
    place.ensure().await.unwrap();
    assert_ne!(place.status().await.pid, Some(process.pid));
}

#[tokio::test]
async fn a_reused_pid_is_neither_running_nor_signalled() {
    let place = Place::new();
    let files = place.files();
    fs::create_dir(&files.dir).unwrap();
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(&files.pid, format!("{}\n1\n", stranger.id())).unwrap();
    assert!(!place.status().await.running);
    assert_eq!(daemon::stop(&place.settings).await.unwrap(), StopOutcome::NotRunning);
    place.start().await;
    let untouched = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(untouched);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_start_one_daemon() {
    let place = Place::new();
    let all = futures::future::join_all((0..10).map(|_| place.ensure())).await;
    for client in all {
        client.unwrap().health().await.unwrap();
    }
    assert_eq!(place.starts(), 1);
    let started = place.notices.lock().unwrap();
    assert!(matches!(started.as_slice(), [Notice::Started { .. }]), "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_of_another_build_is_replaced_once_and_said_so() {
    let place = Place::new();
    let old = place.start().await;
    let from = place.status().await.build_id.unwrap();
    rebuild(place.options.program.as_deref().unwrap());
    assert!(place.status().await.outdated);
    futures::future::try_join_all((0..5).map(|_| place.ensure())).await.unwrap();
    assert!(!old.is_alive());
    assert_eq!(place.starts(), 2);
    let status = place.status().await;
    assert!(status.healthy && !status.outdated);
    let to = status.build_id.unwrap();
    let notices = place.notices.lock().unwrap();
    assert_eq!(notices[0], Notice::Outdated { from: from.clone(), to: to.clone() });
    assert_eq!(notices[0].to_string(), format!("daemon outdated (build {from} -> {to}), restarting..."));
    assert_eq!(notices.len(), 2);
}

#[tokio::test]
async fn a_failed_start_shows_the_end_of_its_log() {
    let place = Place::new();
    place.behave("fail");
    let e = place.ensure().await.unwrap_err();
    assert_eq!(e.code, ErrorCode::DaemonUnreachable);
    assert!(e.message.contains("told to fail"), "{e}");
    assert!(e.hint.contains(place.files().log.to_str().unwrap()), "{e}");
    place.behave("");
    place.ensure().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_no_daemon_fails_at_once() {
    let mut place = Place::new();
    place.options.program = Some("/bin/true".into());
    let e = place.ensure().await.unwrap_err();
    assert!(e.message.contains("exit status: 0"), "{e}");
}

#[tokio::test]
async fn a_second_daemon_on_the_data_directory_is_refused_with_the_pid_of_the_first() {
    let place = Place::new();
    let process = place.start().await;
    let e = DaemonLock::acquire(&place.settings).unwrap_err();
    assert_eq!(e.code, ErrorCode::DataDirInUse);
    assert!(e.message.contains(&format!("pid {} ", process.pid)), "{e}");
    let elsewhere = place.settings.clone().with_address(Ipv4Addr::LOCALHOST.into(), free_port());
    let e = daemon::start(&elsewhere, &place.options).await.unwrap_err();
    assert!(e.message.contains("data_dir_in_use"), "{e}");
}

#[tokio::test]
async fn daemons_with_data_directories_of_their_own_do_not_touch_each_other() {
    let (a, b) = (Place::new(), Place::new());
    let (first, second) = (a.start().await, b.start().await);
    assert_eq!(daemon::stop(&a.settings).await.unwrap(), StopOutcome::Stopped(first));
    assert!(second.is_alive() && b.status().await.healthy);
}

#[tokio::test]
async fn somebody_elses_daemon_on_the_port_is_neither_used_nor_stopped() {
    let (a, b) = (Place::new(), Place::new());
    let owner = a.start().await;
    let mut stolen = b.settings.clone();
    stolen = stolen.with_address(a.settings.host, a.settings.port);
    let e = daemon::ensure_running(&stolen, &b.options, &|_| {}).await.unwrap_err();
    assert_eq!(e.code, ErrorCode::PortInUse);
    assert!(e.message.contains(&format!("pid {}", owner.pid)), "{e}");
    assert!(owner.is_alive());
}

#[tokio::test]
async fn a_daemon_named_by_its_url_is_never_started() {
    let place = Place::new();
    let mut settings = place.settings.clone();
    settings.ownership = sandboxed_client::Ownership::Foreign;
    let e = daemon::ensure_running(&settings, &place.options, &|_| {}).await.unwrap_err();
    assert_eq!(e.code, ErrorCode::DaemonUnreachable);
    assert!(!place.files().dir.exists());
    assert!(place.dir.path().exists());
}
