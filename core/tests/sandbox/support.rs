//! A sandbox of its own for each test, in a temporary directory, over a tiny image that borrows the host's /usr.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use sandbox_runner::protocol::{EXIT_FILE, ExitRecord};
use sandboxed_core::sandbox::{CgroupTree, RunRequest, RunnerHandle, START_PATIENCE, Sandbox};
use sandboxed_domain::sandbox::{
    Bind, FIRST_UID_BASE, IdMap, Limits, Network, Registration, SandboxSpec, UIDS_PER_SANDBOX,
};

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The runner, linked statically: named by `SANDBOXED_SH_RUNNER` or built.
pub fn runner() -> PathBuf {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    RUNNER
        .get_or_init(|| std::env::var_os("SANDBOXED_SH_RUNNER").map_or_else(build_runner, Into::into))
        .clone()
}

fn build_runner() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static-runner");
    let (profile, folder) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let status = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--package", "sandbox-runner", "--bin", "sandbox-runner"])
        .args(["--profile", profile, "--target-dir"])
        .arg(&target)
        .args(["--", "-C", "target-feature=+crt-static"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "the runner must build");
    target.join(folder).join("sandbox-runner")
}

/// Everything of one test; ends what is left when it is dropped.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub tree: CgroupTree,
    pub spec: SandboxSpec,
}

impl Place {
    /// A place whose machine has a name of its own.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = std::process::id() + (COUNT.fetch_add(1, Ordering::Relaxed) << 22);
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        tiny_image(&image);
        let spec = SandboxSpec {
            machine: format!("t-{name}-{unique}"),
            hostname: "workspace".into(),
            image,
            lowers: Vec::new(),
            layer: dir.path().join("layer"),
            merged: dir.path().join("root"),
            control: dir.path().join("machine/control"),
            runner: runner(),
            binds: vec![Bind { idmap: IdMap::None, ..Bind::same_path("/usr").read_only() }],
            network: Network::Host,
            egress: env!("CARGO_BIN_EXE_sandboxed-sh").into(),
            uid_base: FIRST_UID_BASE + ((unique ^ (unique >> 18)) % 10_000) * UIDS_PER_SANDBOX,
            limits: Limits::default(),
            registration: Registration::Off,
        };
        let tree = CgroupTree::detect(&format!("test-{name}-{unique}")).unwrap();
        Self { dir, tree, spec }
    }

    pub async fn start(&self) -> Sandbox {
        Sandbox::start(&self.spec, &self.tree, START_PATIENCE).await.unwrap()
    }

    /// A directory of the host that becomes a bind at its own path.
    pub fn bind_dir(&mut self, name: &str, owner: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
        self.spec.binds.push(Bind::same_path(&path));
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for name in self.tree.machines().unwrap() {
            self.tree.machine(&name).unwrap().remove().unwrap();
        }
        self.tree.remove_if_empty().unwrap();
        let _ = fs::remove_dir(Path::new("/run/systemd/nspawn/propagate").join(&self.spec.machine));
    }
}

fn tiny_image(root: &Path) {
    for dir in ["etc", "usr", "tmp", "root", "var/tmp", "proc", "sys", "dev", "run"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    fs::write(root.join("etc/os-release"), "ID=test\n").unwrap();
}

/// A run of a shell script.
pub fn script(run_id: &str, text: &str) -> RunRequest {
    RunRequest {
        run_id: run_id.to_owned(),
        attempt: 1,
        argv: ["/bin/sh", "-c", text].map(str::to_owned).into(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/sbin:/usr/bin".to_owned())]),
        cwd: "/".to_owned(),
        stdout_name: "stdout.log".to_owned(),
        stdin_pipe: false,
        limits: Limits::default(),
    }
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub stdout: String,
    #[expect(dead_code, reason = "shown when an assertion fails")]
    pub stderr: String,
    pub exit: ExitRecord,
}

/// Starts a run and waits for its exit record.
pub async fn finish(runner: &RunnerHandle, request: RunRequest) -> Ended {
    let run_id = request.run_id.clone();
    runner.start_run(request).await.unwrap();
    wait_exit(&runner.runs_dir(&run_id)).await
}

/// Runs a script and returns what it printed; it must succeed.
pub async fn say(runner: &RunnerHandle, text: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let run_id = format!("say-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let ended = finish(runner, script(&run_id, text)).await;
    assert_eq!(ended.exit.exit_code, Some(0), "{text}: {ended:?}");
    runner.close_run(&run_id).await.unwrap();
    ended.stdout
}

/// Waits for a run's exit record, woken by the kernel.
pub async fn wait_exit(dir: &Path) -> Ended {
    let inotify = Inotify::init().unwrap();
    inotify.watches().add(dir, WatchMask::MOVED_TO | WatchMask::CREATE).unwrap();
    let mut events = inotify.into_event_stream([0; 1024]).unwrap();
    let waiting = async {
        while !dir.join(EXIT_FILE).exists() {
            events.next().await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    // Closing waits for the kernel, which is not what anybody measures here.
    tokio::task::spawn_blocking(move || drop(events));
    let read =
        |name: &str| String::from_utf8_lossy(&fs::read(dir.join(name)).unwrap_or_default()).into_owned();
    let exit = serde_json::from_str(&read(EXIT_FILE)).unwrap();
    Ended { stdout: read("stdout.log"), stderr: read("stderr.log"), exit }
}

/// How long a run of `true` takes from the call to its exit record.
pub async fn time_true(runner: &RunnerHandle, run_id: &str) -> Duration {
    let begun = Instant::now();
    let ended = finish(runner, script(run_id, "exec true")).await;
    assert_eq!(ended.exit.exit_code, Some(0), "{ended:?}");
    let taken = begun.elapsed();
    runner.close_run(run_id).await.unwrap();
    taken
}
