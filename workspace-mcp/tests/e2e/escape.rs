//! No way out: words, links, and somebody who moves directories about while files are read and written.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;
use tempfile::TempDir;

use crate::stage::{Server, Stage};

/// Calls that name one path.
fn calls(path: &str) -> Vec<(&'static str, serde_json::Value)> {
    vec![
        ("read_file", json!({"path": path})),
        ("write_file", json!({"path": path, "content": "stolen"})),
        ("write_file", json!({"path": path, "content": "stolen", "mode": "append"})),
        ("write_file", json!({"path": path, "content": "stolen", "mode": "create"})),
        ("edit_file", json!({"path": path, "edits": [{"old_string": "secret", "new_string": "stolen"}]})),
        ("list_files", json!({"path": path})),
        ("list_files", json!({"path": path, "pattern": "*"})),
        ("search_files", json!({"pattern": "secret", "path": path})),
        ("move_file", json!({"from": path, "to": "here"})),
        ("move_file", json!({"from": "mine", "to": path})),
        ("run_command", json!({"command": "cat secret", "cwd": path})),
    ]
}

#[tokio::test]
async fn no_words_and_no_link_lead_out() {
    let stage = Stage::new().await;
    let outside = TempDir::new().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    stage.write("mine", "mine");
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    symlink(&secret, stage.path("file-link")).unwrap();
    symlink(outside.path(), stage.path("dir-link")).unwrap();
    symlink(format!("../{name}"), stage.path("up-link")).unwrap();
    symlink("/proc/self/root", stage.path("root-link")).unwrap();
    let secret_path = secret.to_str().unwrap();
    let whole = outside.path().to_str().unwrap();
    let relative = format!("../{name}/secret");
    for path in [
        "..",
        "../..",
        whole,
        secret_path,
        &relative,
        "dir-link/secret",
        "up-link/secret",
        "up-link",
        "/etc",
        "root-link/etc",
        "dir-link/new",
    ] {
        for (tool, arguments) in calls(path) {
            let answer = stage.server.call(tool, arguments.clone()).await;
            let moved_link = tool == "move_file" && path == "up-link";
            assert!(answer.is_error() || moved_link, "{tool} {arguments}: {answer:?}");
            assert!(!answer.text().contains("secret\""), "{tool} {arguments}: {answer:?}");
            if moved_link {
                // The link itself may be moved; what it means may not.
                symlink(format!("../{name}"), stage.path("up-link")).ok();
                fs::remove_file(stage.path("here")).ok();
                stage.write("mine", "mine");
            }
        }
    }
    let read = stage.server.problem("read_file", json!({"path": "file-link"})).await;
    assert_eq!(read["code"], "path_outside_workspace");
    for tool in ["list_files", "search_files"] {
        let all = stage.server.text(tool, json!({"pattern": "secret", "include_ignored": true})).await;
        assert!(!all.contains("secret"), "{tool}: {all}");
    }
    // Deleting a link deletes the link.
    for link in ["dir-link", "file-link"] {
        stage.server.data("delete_file", json!({"path": link, "permanently": true})).await;
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    stage.finish().await;
}

/// Swaps a directory with a link to the outside, over and over.
struct Swapper {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Swapper {
    fn start(one: std::path::PathBuf, other: std::path::PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut swaps = 0;
            while !told.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
            }
            swaps
        });
        Self { stop, thread: Some(thread) }
    }

    fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

#[tokio::test]
async fn no_race_leads_out() {
    let stage = Stage::new().await;
    let outside = TempDir::new().unwrap();
    for file in ["f", "sub/f", "target"] {
        fs::create_dir_all(outside.path().join("sub")).unwrap();
        fs::write(outside.path().join(file), "SECRET").unwrap();
        stage.write(&format!("dir/{file}"), "inside");
    }
    symlink(outside.path(), stage.path("evil")).unwrap();
    let swapper = Swapper::start(stage.path("dir"), stage.path("evil"));
    let (mut inside, mut refused) = (0, 0);
    for round in 0..150 {
        for (tool, arguments) in [
            ("read_file", json!({"path": "dir/f"})),
            ("read_file", json!({"path": "dir/sub/f"})),
            ("search_files", json!({"pattern": "SECRET|inside"})),
            ("list_files", json!({"path": "dir"})),
            ("write_file", json!({"path": "dir/f", "content": "inside"})),
            ("write_file", json!({"path": format!("dir/new{round}/x"), "content": "inside"})),
            (
                "edit_file",
                json!({"path": "dir/target", "edits": [{"old_string": "i", "new_string": "i", "replace_all": true}]}),
            ),
            ("move_file", json!({"from": "dir/sub/f", "to": "dir/sub/g"})),
            ("move_file", json!({"from": "dir/sub/g", "to": "dir/sub/f"})),
            ("delete_file", json!({"path": format!("dir/new{round}"), "permanently": true})),
        ] {
            let answer = stage.server.call(tool, arguments).await;
            assert!(!answer.text().contains("SECRET"), "{tool}: {answer:?}");
            if answer.is_error() { refused += 1 } else { inside += 1 }
        }
    }
    let swaps = swapper.finish();
    assert!(inside > 50 && refused > 50 && swaps > 100, "{inside} inside, {refused} refused, {swaps} swaps");
    for file in ["f", "sub/f", "target"] {
        assert_eq!(fs::read_to_string(outside.path().join(file)).unwrap(), "SECRET", "{file}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 3, "nothing was made outside");
    stage.finish().await;
}

#[tokio::test]
async fn the_root_may_be_given_by_a_link() {
    let real = TempDir::new().unwrap();
    let places = TempDir::new().unwrap();
    let link = places.path().join("link");
    symlink(real.path(), &link).unwrap();
    fs::write(real.path().join("f"), "text").unwrap();
    let server = Server::start(&link).await;
    for path in [link.join("f"), real.path().canonicalize().unwrap().join("f"), "f".into()] {
        assert_eq!(server.text("read_file", json!({"path": path})).await, "text", "{}", path.display());
    }
    server.leave().await;
}
