//! Where the Library comes from, and with which credentials.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::ApiError;

const REMOTE: &str = "SANDBOXED_SH_LIBRARY_REMOTE";
const BRANCH: &str = "SANDBOXED_SH_LIBRARY_BRANCH";
pub(super) const SSH_KEY: &str = "SANDBOXED_SH_LIBRARY_SSH_KEY";
pub(super) const SSH_KNOWN_HOSTS: &str = "SANDBOXED_SH_LIBRARY_SSH_KNOWN_HOSTS";
const TOKEN_FILE: &str = "SANDBOXED_SH_LIBRARY_TOKEN_FILE";
const SECRETS_FILE: &str = "SANDBOXED_SH_LIBRARY_SECRETS_FILE";

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LibrarySettings {
    /// Path, `ssh://`, `user@host:path` or `https://`; none: it is this machine's alone.
    pub remote: Option<String>,
    /// Branch of the remote; none: the remote's own choice.
    pub branch: Option<String>,
    /// Private key for SSH.
    pub ssh_key: Option<PathBuf>,
    /// File with the keys of hosts for SSH; none: the user's own.
    pub known_hosts: Option<PathBuf>,
    /// File with the token for HTTPS; read anew at each use.
    pub token_file: Option<PathBuf>,
    /// File with secrets of MCP servers, one `NAME=value` a line.
    pub secrets_file: PathBuf,
}

impl LibrarySettings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// `invalid_argument`: a variable that cannot be used, by its name.
    pub fn from_env(data: &Path) -> Result<Self, ApiError> {
        Self::parse(data, |name| std::env::var(name).ok())
    }

    /// Reads any source of variables. An empty value counts as absent.
    ///
    /// # Errors
    /// As [`LibrarySettings::from_env`].
    pub fn parse(data: &Path, get: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| get(name).map(PathBuf::from);
        let settings = Self {
            remote: get(REMOTE),
            branch: get(BRANCH),
            ssh_key: path(SSH_KEY),
            known_hosts: path(SSH_KNOWN_HOSTS),
            token_file: path(TOKEN_FILE),
            secrets_file: path(SECRETS_FILE).unwrap_or_else(|| data.join("library.env")),
        };
        settings.check()?;
        Ok(settings)
    }

    /// Names of all settings, for those who pass them on.
    pub fn names() -> [&'static str; 6] {
        [REMOTE, BRANCH, SSH_KEY, SSH_KNOWN_HOSTS, TOKEN_FILE, SECRETS_FILE]
    }

    fn check(&self) -> Result<(), ApiError> {
        let refuse = |name: &str, message: &str, hint: &str| Err(ApiError::invalid(name, message).hint(hint));
        let fault = self.remote.as_ref().and_then(|remote| remote_fault(remote, self.token_file.is_some()));
        if let Some((message, hint)) = fault {
            return refuse(REMOTE, message, hint);
        }
        let legal = |branch: &String| git2::Reference::is_valid_name(&format!("refs/heads/{branch}"));
        if self.branch.as_ref().is_some_and(|branch| !legal(branch) || branch.starts_with('-')) {
            return refuse(BRANCH, "not the name of a branch", "see `git check-ref-format --branch`");
        }
        // They are handed to a shell by git, in quotes; ssh itself reads `%`, `$` and `"` in them.
        let plain = |path: &PathBuf| {
            path.is_absolute() && !path.to_string_lossy().contains(['\'', '"', '%', '$', '\n'])
        };
        for (name, file) in [(SSH_KEY, &self.ssh_key), (SSH_KNOWN_HOSTS, &self.known_hosts)] {
            if file.as_ref().is_some_and(|path| !plain(path)) {
                return refuse(name, "not an absolute path without quotes, % and $", "name the file in full");
            }
        }
        Ok(())
    }
}

/// Why something is no remote, and what would be one. The value itself may hold a secret and is not repeated.
fn remote_fault(remote: &str, token: bool) -> Option<(&'static str, &'static str)> {
    if remote.starts_with('-') || remote.chars().any(char::is_control) {
        return Some(("not an address", "a path, an SSH address or an https:// URL"));
    }
    let Some((scheme, rest)) = remote.split_once("://") else {
        // A path, or `user@host:path`. `helper::address` would have git run a helper.
        let there = remote.starts_with('/') || (remote.contains(':') && !remote.contains("::"));
        return (!there).then_some(("not an absolute path or address", "a path begins with /"));
    };
    if !["https", "http", "ssh", "file"].contains(&scheme) {
        return Some(("its scheme is not one of https, http, ssh and file", "use one of these"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| user.contains(':') || scheme.starts_with("http")) {
        return Some((
            "holds credentials",
            "put the token into the file that SANDBOXED_SH_LIBRARY_TOKEN_FILE names",
        ));
    }
    let host = authority.split(':').next().unwrap_or_default();
    let local = ["127.0.0.1", "localhost"].contains(&host);
    (token && scheme == "http" && !local).then_some(("would send the token unencrypted", "use https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(set: &[(&str, &str)]) -> Result<LibrarySettings, ApiError> {
        let found =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        LibrarySettings::parse(Path::new("/data"), found)
    }

    #[test]
    fn nothing_set_is_a_library_of_this_machine() {
        let settings = parse(&[(REMOTE, ""), (BRANCH, " ")]).unwrap();
        assert_eq!((settings.remote, settings.branch), (None, None));
        assert_eq!(settings.secrets_file, Path::new("/data/library.env"));
    }

    #[test]
    fn remotes_are_paths_and_addresses_without_credentials() {
        for remote in
            ["/srv/lib.git", "git@host:lib.git", "ssh://git@host:2222/lib", "https://host/lib", "file:///x"]
        {
            assert_eq!(parse(&[(REMOTE, remote)]).unwrap().remote.as_deref(), Some(remote));
        }
        for remote in [
            "lib",
            "--upload-pack=x",
            "ext::sh -c x",
            "https://user:s3cret@host/lib",
            "https://s3cret@host/lib",
            "ssh://user:s3cret@host/lib",
            "ftp://host/lib",
            "/a\nb",
        ] {
            let error = parse(&[(REMOTE, remote)]).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(REMOTE), "{remote}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn a_token_goes_nowhere_unencrypted_but_to_this_machine() {
        let with = |remote| parse(&[(REMOTE, remote), (TOKEN_FILE, "/t")]);
        assert!(with("https://host/lib").is_ok() && with("http://127.0.0.1:8080/lib").is_ok());
        assert!(with("http://host/lib").is_err() && with("http://127.0.0.1.evil.org/lib").is_err());
    }

    #[test]
    fn keys_and_branches_that_would_be_options_or_shell_are_refused() {
        for (name, value) in [
            (BRANCH, "-x"),
            (BRANCH, "a..b"),
            (SSH_KEY, "key"),
            (SSH_KEY, "/k' -o x"),
            (SSH_KNOWN_HOSTS, "/%h"),
        ] {
            assert_eq!(parse(&[(name, value)]).unwrap_err().field.as_deref(), Some(name), "{value}");
        }
    }
}
