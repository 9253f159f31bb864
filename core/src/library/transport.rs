//! Fetch and push by the host's own `git`, in an environment of its own.
//!
//! No secret is in an argument: a token goes as a header through the environment, to the remote's own address only.
//! Hooks, helpers of the repository, submodules and other transports are off, and each call has an end.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sandboxed_domain::api::{ApiError, ErrorCode};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::settings::LibrarySettings;
use super::ssh;
use super::status::REMOTE_REF;

/// Most of what git says that is kept.
const MOST_WORDS: u64 = 16 << 10;
/// Largest pack that a fetch may write, in KiB: the Library is text.
const LARGEST_PACK_KIB: u32 = 512 << 10;
/// Longest fetch or push.
const PATIENCE: Duration = Duration::from_secs(120);

/// Variables of the daemon that git and ssh need to act for its user.
const PASSED_ON: [&str; 17] = [
    "ALL_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
    "XDG_CONFIG_HOME",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Settings of every call, before those of the user and the repository.
const SETTINGS: [(&str, &str); 14] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("credential.interactive", "false"),
    ("fetch.fsckObjects", "true"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("protocol.file.allow", "always"),
    ("protocol.http.allow", "always"),
    ("protocol.https.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("push.recurseSubmodules", "no"),
    ("submodule.recurse", "false"),
];

/// What the remote has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteHead {
    /// Its branch.
    pub branch: String,
    /// The branch's commit; none in an empty repository.
    pub commit: Option<String>,
}

/// One remote.
pub(super) struct Transport<'a> {
    settings: &'a LibrarySettings,
    remote: &'a str,
    root: &'a Path,
}

impl<'a> Transport<'a> {
    pub(super) fn new(settings: &'a LibrarySettings, remote: &'a str, root: &'a Path) -> Self {
        Self { settings, remote, root }
    }

    /// Asks which commit the branch has.
    ///
    /// # Errors
    /// It cannot be reached, or has no such branch.
    pub(super) async fn look(&self) -> Result<RemoteHead, ApiError> {
        let wanted = self.settings.branch.as_ref().map(|branch| format!("refs/heads/{branch}"));
        let asked = wanted.as_deref().unwrap_or("HEAD");
        let said = self
            .git("reaching the Library's remote", &["ls-remote", "--symref", "--", self.remote, asked])
            .await?;
        let lines: Vec<_> = said.lines().filter_map(|line| line.split_once('\t')).collect();
        let symbolic = lines.iter().find_map(|(left, name)| {
            left.strip_prefix("ref: refs/heads/").filter(|_| *name == "HEAD").map(str::to_owned)
        });
        let commit = lines.iter().find(|(left, name)| *name == asked && !left.starts_with("ref:"));
        let commit = commit.map(|(oid, _)| (*oid).to_owned());
        let branch = self.settings.branch.clone().or(symbolic);
        match (branch, commit) {
            (Some(branch), Some(commit)) if git2::Oid::from_str(&commit).is_ok() => {
                Ok(RemoteHead { branch, commit: Some(commit) })
            }
            (branch, _) => Ok(RemoteHead {
                branch: branch.unwrap_or_else(|| super::repository::FIRST_BRANCH.to_owned()),
                commit: None,
            }),
        }
    }

    /// Fetches the branch's commits.
    ///
    /// # Errors
    /// It cannot be reached, or what it sends is too large or unsound.
    pub(super) async fn fetch(&self, branch: &str) -> Result<(), ApiError> {
        let refspec = format!("+refs/heads/{branch}:{REMOTE_REF}");
        let args = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", self.remote, &refspec];
        self.git("fetching the Library", &args).await.map(drop)
    }

    /// Pushes the last commit, never by force.
    ///
    /// # Errors
    /// `conflict` when the remote has commits that are not here.
    pub(super) async fn push(&self, commit: &str, branch: &str) -> Result<(), ApiError> {
        let refspec = format!("{commit}:refs/heads/{branch}");
        let args = ["push", "--porcelain", "--no-verify", "--", self.remote, &refspec];
        self.git("pushing the Library", &args).await.map(drop)
    }

    /// Runs git and returns what it says on stdout.
    async fn git(&self, doing: &'static str, args: &[&str]) -> Result<String, ApiError> {
        let mut command = self.command(args)?;
        let mut child = command.spawn().map_err(|source| {
            ApiError::new(ErrorCode::GitFailed, format!("{doing}: git cannot be started: {source}"))
                .hint("install git on this machine, or unset SANDBOXED_SH_LIBRARY_REMOTE")
        })?;
        let _group = child.id().map(Group);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let all = async { tokio::join!(words(stdout), words(stderr), child.wait()) };
        let (stdout, stderr, status) = tokio::time::timeout(PATIENCE, all).await.map_err(|_| {
            ApiError::new(ErrorCode::TimedOut, format!("{doing}: no end after {} s", PATIENCE.as_secs()))
                .hint("look whether the remote can be reached from this machine")
        })?;
        match status {
            Ok(status) if status.success() => Ok(stdout),
            Ok(status) => Err(self.failure(doing, status, &stdout, &stderr)),
            Err(source) => Err(ApiError::new(ErrorCode::GitFailed, format!("{doing}: {source}"))),
        }
    }

    fn command(&self, args: &[&str]) -> Result<Command, ApiError> {
        // The limit of a file's size is the shell's to set; nothing of the arguments is read as shell.
        let script = format!("ulimit -f {}; exec git \"$@\"", LARGEST_PACK_KIB * 2);
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg("git").args(args);
        command.env_clear().envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("SSH_ASKPASS", "");
        command.env("GIT_DIR", self.root.join(".git")).env("GIT_CONFIG_NOSYSTEM", "0");
        command.env("GIT_SSH_COMMAND", ssh::command(self.settings));
        let mut settings: Vec<(String, String)> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if let Some(file) = &self.settings.token_file {
            settings.extend(self.authorization(&read_token(file)?));
        }
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (name, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), name).env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// The token as a header for this remote. A redirect would take it along, so there is none.
    fn authorization(&self, token: &str) -> Vec<(String, String)> {
        if !self.remote.starts_with("http") {
            return Vec::new();
        }
        let basic = STANDARD.encode(format!("x-access-token:{token}"));
        vec![
            ("credential.helper".to_owned(), String::new()),
            ("http.followRedirects".to_owned(), "false".to_owned()),
            (format!("http.{}.extraHeader", self.remote), format!("Authorization: Basic {basic}")),
        ]
    }

    fn failure(&self, doing: &str, status: ExitStatus, stdout: &str, stderr: &str) -> ApiError {
        // `--porcelain` has a line "!\tFROM:TO\t[rejected] (…)" for a ref that was not taken.
        if let Some(line) = stdout.lines().find(|line| line.starts_with("!\t")) {
            let why = line.rsplit('\t').next().unwrap_or_default();
            return ApiError::new(ErrorCode::Conflict, format!("{doing}: the remote did not take it: {why}"))
                .hint("bring its commits in first: `sandboxed-sh library sync`");
        }
        let words = stderr.trim();
        let words = if words.is_empty() { format!("git ended with {status}") } else { words.to_owned() };
        let words = sandboxed_domain::policy::cut_middle(&words, 600);
        ApiError::new(ErrorCode::GitFailed, format!("{doing}: {words}")).hint(self.hint(stderr))
    }

    /// What to look at, by the way to the remote. git's own words say too little where it may ask nobody.
    fn hint(&self, words: &str) -> String {
        let scheme = self.remote.split_once("://").map(|(scheme, _)| scheme);
        match (scheme, &self.settings.token_file) {
            (Some("http" | "https"), Some(file)) => format!(
                "look whether the token in {} still holds, and whether it may read and write this repository",
                file.display()
            ),
            (Some("http" | "https"), None) => {
                "what is not open to all wants a token: put it alone into a file of mode 0600 and name that in \
                 SANDBOXED_SH_LIBRARY_TOKEN_FILE"
                    .to_owned()
            }
            (None, _) if !self.remote.starts_with('/') => ssh::hint(self.settings, self.remote, words),
            (Some("ssh"), _) => ssh::hint(self.settings, self.remote, words),
            _ => "look whether it is there, and whether the daemon's user may read it".to_owned(),
        }
    }
}

fn read_token(path: &Path) -> Result<String, ApiError> {
    let text = std::fs::read_to_string(path);
    let token = text.as_deref().map(str::trim).unwrap_or_default();
    if token.is_empty() || token.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message = format!("{} has no token on one line", path.display());
        return Err(ApiError::new(ErrorCode::Unauthorized, message)
            .field("SANDBOXED_SH_LIBRARY_TOKEN_FILE")
            .hint("a file that only the daemon's user may read, with the token alone in it"));
    }
    Ok(token.to_owned())
}

/// What a stream says, within bounds; the rest is read and dropped, so that nobody waits to write.
async fn words(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut bytes = Vec::new();
    let _ = (&mut stream).take(MOST_WORDS).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// git and its helpers: ended together, whatever happens to the call.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        // When all have ended there is no such group any more.
        let _ = killpg(Pid::from_raw(self.0.cast_signed()), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_in_the_environment_for_its_remote_and_in_no_argument() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("token");
        std::fs::write(&file, "s3cret-token\n").unwrap();
        let settings = LibrarySettings { token_file: Some(file), ..LibrarySettings::default() };
        let remote = "https://host/lib.git";
        let transport = Transport::new(&settings, remote, root.path());
        let command = transport.command(&["ls-remote", "--", remote, "HEAD"]).unwrap();
        let command = command.as_std();
        assert!(command.get_args().all(|arg| !arg.to_string_lossy().contains("s3cret")));
        let env: Vec<_> = command
            .get_envs()
            .map(|(name, value)| {
                (name.to_string_lossy(), value.unwrap_or_default().to_string_lossy().into_owned())
            })
            .collect();
        let basic = STANDARD.encode("x-access-token:s3cret-token");
        assert_eq!(env.iter().filter(|(_, value)| value.contains(&basic)).count(), 1);
        assert!(env.iter().any(|(_, value)| value == "http.https://host/lib.git.extraHeader"));
        let ssh = Transport::new(&settings, "git@host:lib", root.path());
        assert!(ssh.authorization("s3cret").is_empty());
    }

    #[test]
    fn a_token_of_nothing_or_of_two_lines_is_refused_without_repeating_it() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("token");
        for text in ["", " \n", "s3cret\nmore", "s3 cret"] {
            std::fs::write(&file, text).unwrap();
            let error = read_token(&file).unwrap_err();
            assert!(error.code == ErrorCode::Unauthorized && !error.to_string().contains("s3"), "{error}");
        }
        assert!(read_token(&root.path().join("nowhere")).is_err());
    }
}
