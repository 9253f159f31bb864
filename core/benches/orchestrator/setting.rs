//! The daemon of a bench, its repositories, and how its workers are waited for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandboxed_client::Client;
use sandboxed_domain::api::{Caller, CreateWorkspaceParams, WorkspaceView};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Daemon, git};

/// A daemon that runs as many missions as any figure needs.
pub async fn daemon(env: &[(&str, &str)]) -> Daemon {
    let env: Vec<_> = [("SANDBOXED_SH_MAX_PARALLEL", "64")].into_iter().chain(env.iter().copied()).collect();
    Daemon::start_with(&env).await
}

/// A boss in `directory`.
pub fn caller(boss: &str, directory: &Path) -> Caller {
    Caller { boss: boss.to_owned(), working_directory: directory.display().to_string(), workspace: None }
}

/// Calls a tool that must succeed.
pub async fn call(client: &Client, caller: &Caller, tool: &str, params: Value) -> Value {
    client.tool(tool, caller, &params).await.unwrap_or_else(|error| panic!("{tool}: {error:?}"))
}

/// Ids of the workers of a batch, which must all have been made.
pub fn ids(batch: &Value) -> Vec<Uuid> {
    let id = |entry: &Value| {
        entry["worker_id"].as_str().unwrap_or_else(|| panic!("not made: {entry}")).parse().unwrap()
    };
    batch["workers"].as_array().unwrap().iter().map(id).collect()
}

/// Waits until these workers have ended.
pub async fn ended(client: &Client, caller: &Caller, workers: &[Uuid]) {
    let mut left: BTreeSet<Uuid> = workers.iter().copied().collect();
    let mut cursor = None::<String>;
    while !left.is_empty() {
        let params = json!({"worker_ids": workers, "cursor": cursor, "timeout_seconds": 60});
        let answer = call(client, caller, "wait_for_any_worker", params).await;
        for event in answer["events"].as_array().unwrap() {
            left.remove(&event["worker_id"].as_str().unwrap().parse().unwrap());
        }
        assert!(left.is_empty() || answer["status"] != "nothing_to_wait_for", "never told of {left:?}");
        cursor = answer["cursor"].as_str().map(str::to_owned);
    }
}

/// Cancels all workers of a boss and waits until they have ended.
pub async fn cancel(client: &Client, caller: &Caller, workers: &[Uuid]) {
    call(client, caller, "cancel_worker", json!({"all": true})).await;
    ended(client, caller, workers).await;
}

/// A repository of `files` files of 0.5 to 16 kB, packed as in a clone.
pub fn repository(path: &Path, files: usize) -> PathBuf {
    for n in 0..files {
        let directory = path.join(format!("src/part{:02}/sub{}", n % 50, n % 4));
        std::fs::create_dir_all(&directory).unwrap();
        let line =
            format!("fn item_{n}(value: u64) -> u64 {{ value.wrapping_mul({n}) ^ 0x{:x} }}\n", n * 7919);
        std::fs::write(directory.join(format!("file{n}.rs")), line.repeat(8 + (n * 37) % 240)).unwrap();
    }
    git(path, &["init", "-q"]);
    git(path, &["add", "."]);
    git(path, &["commit", "-qm", "First"]);
    git(path, &["gc", "-q"]);
    // Fresh files are as young as the index, which then proves nothing about them; a used checkout's are older.
    std::thread::sleep(Duration::from_millis(1_100));
    git(path, &["update-index", "--force-write-index"]);
    path.to_owned()
}

/// A workspace that runs nothing but its sandbox.
pub async fn workspace(client: &Client, name: &str) -> WorkspaceView {
    let params = CreateWorkspaceParams {
        name: name.to_owned(),
        binds: Vec::new(),
        template: None,
        network: None,
        allow_hosts: Vec::new(),
        limits: Default::default(),
    };
    client.create_workspace(&params).await.unwrap()
}

/// The time of day in nanoseconds, as `date +%s%N` prints it.
pub fn now_ns() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}
