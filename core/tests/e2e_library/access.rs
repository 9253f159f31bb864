//! Remotes that want to know who asks: with the right key or token everything works, with a wrong one the error says
//! what to do, and nothing repeats a secret.

use std::os::unix::fs::PermissionsExt;

use sandboxed_domain::api::{ApiError, ErrorCode};

use crate::served::{HttpRemote, TOKEN};
use crate::shelf::{Remote, commit, write};
use crate::support::Daemon;

/// Brings in, changes, commits and pushes.
pub async fn both_ways(daemon: &Daemon, remote: &Remote) {
    let client = daemon.client();
    let answer = client.sync_library().await.unwrap();
    assert_eq!((answer.updated, answer.status.behind), (true, 0));
    assert_eq!(client.library().await.unwrap().items[0].name, "a");
    write(&client, "rules/b.md", "ours\n").await;
    commit(&client, "Ours").await;
    let status = client.push_library().await.unwrap();
    assert_eq!((status.ahead, status.behind, status.fetch_error), (0, 0, None));
    assert_eq!(remote.show("rules/b.md"), "ours");
}

/// A sync that fails, and that the status tells of; whatever was said of it, the daemon's log included.
pub async fn refused(daemon: &Daemon) -> (ApiError, String) {
    let client = daemon.client();
    let error = client.sync_library().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::GitFailed, "{error:?}");
    let status = client.library_status().await.unwrap();
    assert_eq!(status.fetch_error.as_ref(), Some(&error.message));
    let all = format!("{error:?} {status:?} {}", daemon.log());
    (error, all)
}

fn token_file(daemon_or_root: &std::path::Path, token: &str) -> String {
    let file = daemon_or_root.join(format!("token-{}", token.len()));
    std::fs::write(&file, format!("{token}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn a_remote_over_http_is_read_and_written_with_its_token() {
    let remote = Remote::with(&[("rules/a.md", "theirs\n")]);
    let served = HttpRemote::serve(remote.root()).await;
    let file = token_file(remote.root(), TOKEN);
    let daemon = Daemon::start_with(&[
        ("SANDBOXED_SH_LIBRARY_REMOTE", served.url()),
        ("SANDBOXED_SH_LIBRARY_TOKEN_FILE", &file),
    ])
    .await;
    both_ways(&daemon, &remote).await;
    let answers = served.answers();
    assert!(answers.iter().any(|answer| answer == "200 /lib.git/git-receive-pack"), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.starts_with("200")), "{answers:?}");
    assert!(!daemon.log().contains(TOKEN));
    drop(served);
    daemon.finish().await;
}

#[tokio::test]
async fn without_the_right_token_the_error_says_what_to_do_and_no_token() {
    let remote = Remote::with(&[("rules/a.md", "theirs\n")]);
    let served = HttpRemote::serve(remote.root()).await;
    let wrong = token_file(remote.root(), "ghp-wrong-s3cret-x");
    let url = ("SANDBOXED_SH_LIBRARY_REMOTE", served.url());
    for (token, words) in [(Some(&wrong), wrong.as_str()), (None, "SANDBOXED_SH_LIBRARY_TOKEN_FILE")] {
        let token = token.map(|file| ("SANDBOXED_SH_LIBRARY_TOKEN_FILE", file.as_str()));
        let set: Vec<_> = std::iter::once(url).chain(token).collect();
        let daemon = Daemon::start_with(&set).await;
        let (error, all) = refused(&daemon).await;
        assert!(error.hint.contains(words), "{error:?}");
        assert!(!all.contains("s3cret") && !all.contains("eC1hY2Nlc3M"), "{all}");
        daemon.finish().await;
    }
    assert!(served.answers().iter().all(|answer| answer.starts_with("401")), "{:?}", served.answers());
    drop(served);
}
