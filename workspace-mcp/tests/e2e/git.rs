//! Repositories, as a client without a shell sees them.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::stage::Stage;

/// Runs git, which must succeed.
fn git(dir: &Path, args: &[&str]) {
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"];
    let out = Command::new("git").current_dir(dir).args(who).args(args).output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A workspace with a repository of two commits and some changes.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    git(stage.dir.path(), &["init", "-q"]);
    stage.write("src/a.txt", "one\ntwo\n");
    git(stage.dir.path(), &["add", "."]);
    git(stage.dir.path(), &["commit", "-q", "-m", "first"]);
    stage.write("src/b.txt", "b\n");
    git(stage.dir.path(), &["add", "."]);
    git(stage.dir.path(), &["commit", "-q", "-m", "second\n\nand why"]);
    stage
}

#[tokio::test]
async fn what_was_done_is_verified_without_a_shell() {
    let stage = stage().await;
    let server = &stage.server;
    let clean = server.call("git_status", json!({})).await;
    assert!(
        clean.block(0).starts_with("branch main at ") && clean.block(0).ends_with(" second\n"),
        "{clean:?}"
    );
    assert_eq!(clean.block(1), "[nothing to commit, no untracked files]");
    let edit = json!({"path": "src/a.txt", "edits": [{"old_string": "two", "new_string": "2"}]});
    server.data("edit_file", edit).await;
    server.data("write_file", json!({"path": "new", "content": "n\n"})).await;
    server.data("delete_file", json!({"path": "src/b.txt"})).await;
    git(stage.dir.path(), &["add", "new"]);
    server.data("write_file", json!({"path": "other", "content": "o\n"})).await;
    let status = server.call("git_status", json!({"path": "src"})).await;
    let lines: Vec<_> = status.block(0).lines().skip(1).collect();
    assert_eq!(lines, ["A  new", " M src/a.txt", " D src/b.txt", "?? other"], "{status:?}");
    assert_eq!(status.block(1), "[3 changed files, 1 of them staged; 1 untracked]");
    assert_eq!((status.fact("branch"), status.fact("changed")), (json!("main"), json!(3)));
    let diff = server.call("git_diff", json!({"path": "src/a.txt"})).await;
    assert!(diff.block(0).contains("-two\n+2\n") && !diff.block(0).contains("b.txt"), "{diff:?}");
    assert_eq!(diff.block(1), "[1 file, +1 -1]");
    let gone = server.call("git_diff", json!({"path": "src/b.txt"})).await;
    assert!(gone.block(0).contains("deleted file"), "{gone:?}");
    let staged = server.text("git_diff", json!({"staged": true, "summary": true})).await;
    assert!(staged.starts_with("new  +1 -0\n"), "{staged}");
    let between = server.text("git_diff", json!({"base": "HEAD~1", "head": "HEAD", "summary": true})).await;
    assert!(between.starts_with("src/b.txt  +1 -0\n"), "{between}");
    let log = server.call("git_log", json!({"messages": true})).await;
    assert!(log.block(0).contains("A (main): second\n    and why\n"), "{log:?}");
    let of_path = server.text("git_log", json!({"path": "src/a.txt"})).await;
    assert!(of_path.ends_with("A: first\n") && of_path.lines().count() == 1, "{of_path}");
    let page = server.call("git_log", json!({"limit": 1})).await;
    assert_eq!(page.block(1), "[there are more: go on with offset=1]");
    git(stage.dir.path(), &["worktree", "add", "-q", "-b", "side", "tree"]);
    let trees = server.text("git_status", json!({"path": "tree"})).await;
    assert!(trees.contains("worktrees:\n") && trees.contains("/tree  side at "), "{trees}");
    stage.finish().await;
}

#[tokio::test]
async fn a_long_difference_has_pages_and_is_whole_in_a_file() {
    let stage = stage().await;
    let long: String = (0..4000).map(|n| format!("a line of the long file, number {n}\n")).collect();
    stage.write("src/a.txt", &long);
    stage.write("src/binary", b"\0\x01");
    git(stage.dir.path(), &["add", "-N", "src/binary"]);
    let first = stage.server.call("git_diff", json!({})).await;
    assert!(first.block(0).len() <= 30_000 && first.fact("next_offset").is_u64(), "{first:?}");
    let path = first.fact("path").as_str().unwrap().to_owned();
    assert!(first.link().unwrap().ends_with(&path), "{:?}", first.link());
    let whole = stage.read(&path);
    assert!(whole.contains("number 3999\n") && whole.contains("binary or larger"));
    let (mut joined, mut offset) = (String::new(), json!(0));
    while offset.is_u64() {
        let page = stage.server.call("git_diff", json!({"offset": offset})).await;
        joined.push_str(page.block(0));
        offset = page.fact("next_offset");
    }
    assert!(joined == whole, "{} of {} bytes", joined.len(), whole.len());
    stage.finish().await;
}

#[tokio::test]
async fn what_is_no_repository_or_no_commit_is_said() {
    let stage = Stage::new().await;
    for tool in ["git_status", "git_diff", "git_log"] {
        assert_eq!(stage.server.problem(tool, json!({})).await["code"], "not_a_repository", "{tool}");
        let outside = stage.server.problem(tool, json!({"path": "../x"})).await;
        assert_eq!(outside["code"], "path_outside_workspace", "{tool}");
    }
    git(stage.dir.path(), &["init", "-q"]);
    assert!(stage.server.text("git_status", json!({})).await.starts_with("branch main, no commit yet\n"));
    assert_eq!(stage.server.problem("git_log", json!({})).await["code"], "unknown_revision");
    for base in ["nothing", "HEAD~9", "--output=x", "main\u{0}"] {
        let problem = stage.server.problem("git_diff", json!({"base": base})).await;
        assert_eq!(problem["code"], "unknown_revision", "{base}: {problem}");
    }
    let other = tempfile::tempdir().unwrap();
    git(other.path(), &["init", "-q"]);
    stage.write("trick/.git", format!("gitdir: {}/.git\n", other.path().display()));
    let problem = stage.server.problem("git_status", json!({"path": "trick"})).await;
    assert_eq!(problem["code"], "path_outside_workspace", "{problem}");
    stage.finish().await;
}
