//! The way to a remote over SSH: how `ssh` is called for git, and what its words mean where nobody can be asked.

use std::path::Path;

use super::settings::{LibrarySettings, SSH_KEY, SSH_KNOWN_HOSTS};

/// The command for git. Hosts must be known, nobody is asked for a passphrase, and no connection is left behind that
/// others share: it would hold git's outputs open.
pub(super) fn command(settings: &LibrarySettings) -> String {
    let key = settings.ssh_key.as_ref().map(|path| format!(" -i '{}' -o IdentitiesOnly=yes", path.display()));
    let known = settings.known_hosts.as_ref();
    // ssh itself parts the value at spaces, unless it is quoted once more.
    let known = known.map(|path| format!(" -o 'UserKnownHostsFile=\"{}\"'", path.display()));
    let (key, known) = (key.unwrap_or_default(), known.unwrap_or_default());
    format!("ssh -o BatchMode=yes -o ConnectTimeout=10 -o ControlMaster=no{key}{known}")
}

/// What to do about what `ssh` said.
pub(super) fn hint(settings: &LibrarySettings, remote: &str, words: &str) -> String {
    let known =
        settings.known_hosts.as_deref().map_or("~/.ssh/known_hosts of the daemon's user".to_owned(), shown);
    if words.contains("ssh: not found") || words.contains("ssh: command not found") {
        return "install openssh-client on this machine".to_owned();
    }
    if words.contains("IDENTIFICATION HAS CHANGED") {
        return format!(
            "the host shows another key than the one in {known}: ask who runs it whether that is right, and only then \
             replace the line"
        );
    }
    if words.contains("Host key verification failed") {
        let scan = keyscan(remote);
        return format!(
            "the host is not in {known}: see `{scan} | ssh-keygen -lf -`, compare it with what who runs the host tells, \
             and append the lines of `{scan}`; another file may be named in {SSH_KNOWN_HOSTS}"
        );
    }
    let Some(key) = settings.ssh_key.as_deref().map(shown) else {
        return format!(
            "the daemon asks with its own user's SSH agent, keys and known_hosts: ssh to the host once by hand, or name \
             a key in {SSH_KEY}"
        );
    };
    if words.contains("bad permissions") {
        return format!("ssh takes no key that others may read: chmod 600 {key}");
    }
    if words.contains("not accessible") {
        return format!(
            "{SSH_KEY} names {key}: look whether it is there, and whether the daemon's user may read it"
        );
    }
    format!(
        "look whether {key} is a key of that account, without a passphrase, and whether the host can be reached: ssh \
         with this key once by hand shows it"
    )
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The command that shows the keys of a remote's host.
fn keyscan(remote: &str) -> String {
    let address = remote.strip_prefix("ssh://").unwrap_or(remote);
    let end = if address.len() < remote.len() { '/' } else { ':' };
    let authority = address.split(end).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => format!("ssh-keyscan -p {port} {host}"),
        _ => format!("ssh-keyscan {host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_are_one_word_to_the_shell_and_to_ssh() {
        let settings = LibrarySettings {
            ssh_key: Some("/k/id key".into()),
            known_hosts: Some("/k/known hosts".into()),
            ..LibrarySettings::default()
        };
        let command = command(&settings);
        assert!(command.contains("-i '/k/id key'"), "{command}");
        assert!(command.contains("-o 'UserKnownHostsFile=\"/k/known hosts\"'"), "{command}");
        for option in ["BatchMode=yes", "IdentitiesOnly=yes", "ControlMaster=no"] {
            assert!(command.contains(option), "{command}");
        }
        assert!(!command.contains("StrictHostKeyChecking"), "a host must be known: {command}");
    }

    #[test]
    fn a_machine_without_ssh_is_told_so() {
        let words = "ssh -o BatchMode=yes: 1: ssh: not found\nfatal: Could not read from remote repository.";
        assert!(hint(&LibrarySettings::default(), "git@host:lib", words).contains("openssh-client"));
    }

    #[test]
    fn the_scan_is_of_the_remotes_own_host_and_port() {
        for (remote, scan) in [
            ("git@host:lib.git", "ssh-keyscan host"),
            ("ssh://git@host/lib.git", "ssh-keyscan host"),
            ("ssh://host:2222/~/lib.git", "ssh-keyscan -p 2222 host"),
        ] {
            assert_eq!(keyscan(remote), scan);
        }
    }
}
