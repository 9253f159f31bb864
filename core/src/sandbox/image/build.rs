//! The build itself: mmdebstrap, else debootstrap, in mount and process namespaces of its own, so that whatever is
//! killed, no mount and no process of it is left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::alone::{alone, spawn};
use super::progress::{BuildProgress, ProgressReader};
use super::proxies::{Mirror, ProxyError, Said, answer_of};
use super::recipe::ImageRecipe;
use crate::sandbox::error::SandboxError;
use crate::sandbox::handle::blocking;
use crate::sandbox::probe::{Check, Need, image_builder};

/// What nobody reads in a sandbox.
const LEFT_OUT: [&str; 3] = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*"];
/// Runs the template's script in the image, with a loopback for a network.
const INIT_HOOK: &str = r#"unshare --net chroot "$1" /bin/sh -e < "$IMAGE_INIT_SCRIPT""#;
/// The template's script, while it builds.
pub(super) const SCRIPT: &str = "init.sh";
/// Asks the script of apt's configuration for a proxy, as apt itself does.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";
/// How long that script has.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(30);
/// Lines of the log that a failure shows.
const SHOWN_LINES: usize = 5;

/// Builds `<dir>/rootfs` with `<dir>/build.log` and returns how many seconds it took. A failure leaves the log only.
pub(super) async fn build(
    recipe: &ImageRecipe,
    dir: &Path,
    lock: &Flock<File>,
    patience: Duration,
    progress: &(dyn Fn(BuildProgress) + Send + Sync),
) -> Result<u64, SandboxError> {
    let begun = Instant::now();
    clear(dir).await?;
    let log_path = dir.join("build.log");
    let mut log = File::create(&log_path).map_err(SandboxError::io("create", &log_path))?;
    let rootfs = dir.join("rootfs");
    let script = dir.join(SCRIPT);
    fs::write(&script, &recipe.init_script).map_err(SandboxError::io("write", &script))?;
    let built = async {
        let proxies = match proxies(recipe, lock.as_raw_fd()).await {
            Ok(proxies) => proxies,
            Err(error) => return Err(no_way(&error, &mut log, &log_path)),
        };
        let mut command = builder(recipe, &rootfs, proxies)?;
        command.env("IMAGE_INIT_SCRIPT", &script);
        let mut child = spawn(&mut command, lock.as_raw_fd())?;
        follow(&mut child, &mut log, &log_path, patience, progress).await
    };
    let built = built.await;
    // In the recipe as well, so nobody needs it any more.
    let _ = fs::remove_file(&script);
    let finished = match built {
        Ok(()) => blocking(move || finish(&rootfs)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = finished {
        let _ = remove_rootfs(dir).await;
        return Err(error);
    }
    progress(BuildProgress::of("done", 100));
    Ok(begun.elapsed().as_secs())
}

/// A build that did not begin, as there is no way to its mirrors.
fn no_way(error: &ProxyError, log: &mut File, log_path: &Path) -> SandboxError {
    // The error tells the same, so the log need not.
    let _ = writeln!(log, "E: {error}");
    SandboxError::ImageFailed {
        phase: "asking for the proxy".to_owned(),
        reason: error.to_string(),
        log: log_path.to_owned(),
    }
}

/// An empty directory; what an earlier build left is removed.
async fn clear(dir: &Path) -> Result<(), SandboxError> {
    remove_rootfs(dir).await?;
    fs::create_dir_all(dir).map_err(SandboxError::io("create", dir))
}

pub(super) async fn remove_rootfs(dir: &Path) -> Result<(), SandboxError> {
    let rootfs = dir.join("rootfs");
    blocking(move || match fs::remove_dir_all(&rootfs) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SandboxError::io("remove", &rootfs)(error))
        }
        _ => Ok(()),
    })
    .await
}

/// The builder's command.
fn builder(
    recipe: &ImageRecipe,
    rootfs: &Path,
    proxies: Vec<(String, String)>,
) -> Result<Command, SandboxError> {
    let mut command = alone("C.UTF-8");
    let packages = recipe.packages.join(",");
    if on_path("mmdebstrap") {
        command.args(["mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase", "--verbose"]);
        command.arg(format!("--include={packages}"));
        command.args(LEFT_OUT.map(|glob| format!("--dpkgopt=path-exclude={glob}")));
        // The image is written out as a whole when it is done; until then nothing of it counts.
        command.arg("--dpkgopt=force-unsafe-io");
        if !recipe.init_script.is_empty() {
            command.arg(format!("--customize-hook={INIT_HOOK}"));
        }
        command.arg(&recipe.suite).arg(rootfs).args(&recipe.mirrors);
    } else if on_path("debootstrap") && recipe.init_script.is_empty() {
        command.args(["debootstrap", "--variant=minbase"]).arg(format!("--include={packages}"));
        command.arg(&recipe.suite).arg(rootfs).args(recipe.mirrors.first().and_then(|line| mirror_of(line)));
    } else {
        return Err(SandboxError::Unsupported { missing: vec![no_builder()] });
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").envs(proxies);
    Ok(command)
}

/// Debootstrap alone cannot run a template's script.
fn no_builder() -> Check {
    let found = image_builder();
    match found.ok {
        true => Check::of(
            found.name,
            Need::Images,
            Err(format!("a template with an init script needs mmdebstrap, and there is {}", found.detail)),
            "apt-get install mmdebstrap",
        ),
        false => found,
    }
}

fn on_path(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// How the host comes to its mirrors, as variables: a proxy's address may hold a password.
async fn proxies(recipe: &ImageRecipe, lock: RawFd) -> Result<Vec<(String, String)>, ProxyError> {
    let dump = Command::new("apt-config").args(["dump", "Acquire"]).stdin(Stdio::null()).output().await;
    let dump = dump.map(|output| output.stdout).unwrap_or_default();
    let said = Said::of(std::env::vars(), &String::from_utf8_lossy(&dump));
    let (mirrors, mut answers) = (Mirror::all_of(&recipe.mirrors), BTreeMap::new());
    for mirror in mirrors.iter().filter(|mirror| said.asks_script(mirror)) {
        if let Some(answer) = ask_script(mirror, lock).await? {
            answers.insert(mirror.clone(), answer);
        }
    }
    said.variables(&mirrors, &answers)
}

/// What the script of the host's apt answers for a mirror; none where it leaves that to the rest of the configuration.
async fn ask_script(mirror: &Mirror, lock: RawFd) -> Result<Option<String>, ProxyError> {
    let untold = |said: String| ProxyError::Untold { host: mirror.host.clone(), said };
    let mut command = alone("C");
    command.args([APT_HELPER, "auto-detect-proxy", &mirror.url]);
    if let Some(file) = std::env::var_os("APT_CONFIG") {
        command.env("APT_CONFIG", file);
    }
    let child = spawn(&mut command, lock).map_err(|error| untold(error.to_string()))?;
    // One that is late ends with its namespace when this is dropped.
    let output = tokio::time::timeout(SCRIPT_PATIENCE, child.wait_with_output()).await;
    let output = output.map_err(|_| ProxyError::TimedOut {
        host: mirror.host.clone(),
        seconds: SCRIPT_PATIENCE.as_secs(),
    })?;
    let output = output.map_err(|error| untold(error.to_string()))?;
    if output.status.success() {
        return Ok(answer_of(&String::from_utf8_lossy(&output.stdout)));
    }
    // Apt's own words only: a script's may hold what is secret.
    let stderr = String::from_utf8_lossy(&output.stderr);
    let words: Vec<_> = stderr.lines().filter(|line| line.starts_with("E: ")).collect();
    Err(untold(format!("{}: {}", output.status, words.join(" | "))))
}

/// The address in a `sources.list` entry.
fn mirror_of(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.contains("://"))
}

/// Reads what the builder prints until it ends, or kills its whole group when that takes too long.
async fn follow(
    child: &mut Child,
    log: &mut File,
    log_path: &Path,
    patience: Duration,
    progress: &(dyn Fn(BuildProgress) + Send + Sync),
) -> Result<(), SandboxError> {
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let (parser, begun) = (ProgressReader::default(), Instant::now());
    let mut reader = Reader { progress, log, parser, begun, last: Vec::new(), phase: "starting" };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        reader.read(stdout, stderr).await?;
        child.wait().await
    };
    let status = match tokio::time::timeout(patience, work).await {
        Ok(status) => status,
        Err(_) => {
            if let Some(group) = group {
                let _ = killpg(group, Signal::SIGKILL);
            }
            let _ = child.wait().await;
            return Err(SandboxError::ImageTimedOut {
                seconds: patience.as_secs(),
                log: log_path.to_owned(),
            });
        }
    };
    let (phase, log) = (reader.phase.to_owned(), log_path.to_owned());
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let reason = format!("{status}: {}", reader.last.join(" | "));
            Err(SandboxError::ImageFailed { phase, reason, log })
        }
        Err(error) => Err(SandboxError::ImageFailed { phase, reason: error.to_string(), log }),
    }
}

struct Reader<'a> {
    progress: &'a (dyn Fn(BuildProgress) + Send + Sync),
    log: &'a mut File,
    parser: ProgressReader,
    begun: Instant,
    last: Vec<String>,
    phase: &'static str,
}

impl Reader<'_> {
    async fn read(
        &mut self,
        stdout: Option<impl AsyncRead + Unpin>,
        stderr: Option<impl AsyncRead + Unpin>,
    ) -> std::io::Result<()> {
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else { return Ok(()) };
        let (mut out, mut err) = (BufReader::new(stdout).split(b'\n'), BufReader::new(stderr).split(b'\n'));
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let line = tokio::select! {
                line = out.next_segment(), if out_open => { let line = line?; out_open = line.is_some(); line }
                line = err.next_segment(), if err_open => { let line = line?; err_open = line.is_some(); line }
            };
            if let Some(line) = line {
                self.line(&String::from_utf8_lossy(&line))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str) -> std::io::Result<()> {
        writeln!(self.log, "{line}")?;
        if let Some(told) = self.parser.line(line) {
            self.phase = told.phase;
            (self.progress)(told.after(self.begun.elapsed()));
        }
        if line.starts_with("E:") || line.starts_with("W:") {
            self.last.push(line.to_owned());
            if self.last.len() > SHOWN_LINES {
                self.last.remove(0);
            }
        }
        Ok(())
    }
}

/// What every sandbox expects to find, and nothing of the host that built it.
fn finish(rootfs: &Path) -> Result<(), SandboxError> {
    use std::os::unix::fs::PermissionsExt;
    let files = [
        ("etc/hosts", "127.0.0.1 localhost workspace\n::1 localhost workspace\n"),
        ("etc/hostname", "workspace\n"),
        ("etc/machine-id", ""),
        // Bound over where a sandbox has the host's network.
        ("etc/resolv.conf", ""),
    ];
    for (name, text) in files {
        let path = rootfs.join(name);
        let write = || {
            // Never through a link, which would lead out of the image.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
        };
        write().map_err(SandboxError::io("write", &path))?;
    }
    Ok(())
}
