//! A remote over SSH, with OpenSSH at both ends: its key and its host count, what is refused says what to do, and when
//! the host is away what was last brought in serves.

use std::os::unix::fs::PermissionsExt;

use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};

use crate::access::{both_ways, refused};
use crate::agents::{CODEX, Stage, end_of, report};
use crate::shelf::{Remote, errors};
use crate::sshd::Sshd;
use crate::support::Daemon;

const REMOTE: &str = "SANDBOXED_SH_LIBRARY_REMOTE";
const KEY: &str = "SANDBOXED_SH_LIBRARY_SSH_KEY";
const KNOWN: &str = "SANDBOXED_SH_LIBRARY_SSH_KNOWN_HOSTS";

#[tokio::test]
async fn over_ssh_it_is_read_and_written_and_served_as_it_was_while_its_host_is_away() {
    let remote = Remote::with(&[("rules/a.md", "Tea is served at four.\n")]);
    let sshd = Sshd::serve(remote.root().join("ssh")).await;
    let (url, key, known) = (sshd.url(&remote.path()), sshd.key("right"), sshd.known_as("host"));
    let set = [(REMOTE, url.as_str()), (KEY, &key), (KNOWN, &known)];
    let script = Script::default().scenario("s", [report("DONE", "ok"), Step::text("Done.")]);
    let stage = Stage::with_settings(&[&CODEX], script, &set).await;
    both_ways(&stage.daemon, &remote).await;
    let log = sshd.log();
    assert!(log.contains("Accepted publickey for root"), "{log}");

    drop(sshd);
    let (error, _) = refused(&stage.daemon).await;
    assert!(error.message.contains("Connection refused"), "{error:?}");
    let id = stage.worker(CODEX.worker("go [[s]]")).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let stale = errors(&stage.daemon.events(id).await, "library_stale");
    assert!(stale.len() == 1 && stale[0].contains("Connection refused"), "{stale:?}");
    let first = stage.conversation("s/0").await;
    assert!(first.contains("Tea is served at four") && first.contains("ours"), "{first}");
    stage.finish().await;
}

#[tokio::test]
async fn over_ssh_what_is_refused_says_what_to_do() {
    let remote = Remote::with(&[("rules/a.md", "theirs\n")]);
    let sshd = Sshd::serve(remote.root().join("ssh")).await;
    let url = sshd.url(&remote.path());
    let nobody = remote.root().join("knows nobody").display().to_string();
    std::fs::write(&nobody, "").unwrap();
    let (host, other) = (sshd.known_as("host"), sshd.known_as("wrong"));
    let [right, wrong, locked, nowhere, open] =
        ["right", "wrong", "locked", "nowhere", "open"].map(|name| sshd.key(name));
    std::fs::copy(&right, &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (key, known, message, hint) in [
        (&right, &nobody, "Host key verification failed", ["ssh-keyscan -p", nobody.as_str()]),
        (&right, &other, "HAS CHANGED", ["ask who runs it", other.as_str()]),
        (&wrong, &host, "Permission denied", ["a key of that account", wrong.as_str()]),
        (&locked, &host, "Permission denied", ["without a passphrase", locked.as_str()]),
        (&nowhere, &host, "not accessible", ["whether it is there", nowhere.as_str()]),
        (&open, &host, "bad permissions", ["chmod 600", open.as_str()]),
    ] {
        let daemon = Daemon::start_with(&[(REMOTE, &url), (KEY, key), (KNOWN, known)]).await;
        let (error, all) = refused(&daemon).await;
        assert!(error.message.contains(message), "{error:?}");
        assert!(hint.iter().all(|words| error.hint.contains(words)), "{error:?}");
        assert!(!all.contains("s3cret") && !all.contains("PRIVATE KEY-"), "{all}");
        daemon.finish().await;
    }
}
