//! `batch_create_workers` of 16, each with a worktree, all in the boss's sandbox: call to all running. The peer does the
//! same by hand: `git worktree add` and a systemd-nspawn for each, one after the other.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandboxed_client::Client;
use sandboxed_domain::api::Caller;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::setting::{call, caller, cancel, daemon, ids, now_ns, repository};
use crate::support::{Daemon, git};
use crate::table::{against, row};

const WORKERS: usize = 16;
const ROUNDS: usize = 5;
const PEER_ROUNDS: usize = 2;

pub async fn measure() {
    let daemon = daemon(&[]).await;
    for files in [1_000, 4_000] {
        let repo = repository(&daemon.root().join(format!("r{files}")), files);
        let peer = peer_rounds(&daemon, &repo, files);
        let (client, caller) = (daemon.client(), caller(&format!("batch{files}"), &repo));
        // The first batch starts the sandbox as well.
        let first = batch(&client, &caller, "first").await;
        cancel(&client, &caller, &first.workers).await;
        let (mut answered, mut spared, mut written) = (vec![], vec![], vec![]);
        for round in 0..ROUNDS {
            spares_made(&daemon, &client, &caller).await;
            let with = batch(&client, &caller, &format!("with{round}")).await;
            answered.push(with.answered);
            spared.push(with.running);
            cancel(&client, &caller, &with.workers).await;
            spares_made(&daemon, &client, &caller).await;
            // Another commit than that of the spares: nothing is ready for it.
            git(&repo, &["commit", "-q", "--allow-empty", "-m", "next"]);
            let file = repo.join("round");
            std::fs::write(&file, format!("{round}")).unwrap();
            git(&repo, &["add", "round"]);
            git(&repo, &["commit", "-qm", "next"]);
            let without = batch(&client, &caller, &format!("without{round}")).await;
            written.push(without.running);
            cancel(&client, &caller, &without.workers).await;
        }
        let peer = row(&format!("16 x git worktree add + nspawn, serial ({files} files)"), peer);
        row(&format!("batch of 16: call to answer ({files} files)"), answered);
        against(
            &format!("batch of 16: call to all running, sandbox cold ({files} files)"),
            vec![first.running],
            peer,
        );
        against(&format!("batch of 16: call to all running, warm spares ({files} files)"), spared, peer);
        against(&format!("batch of 16: call to all running, no spares ({files} files)"), written, peer);
    }
    daemon.finish().await;
}

struct Made {
    workers: Vec<Uuid>,
    answered: Duration,
    running: Duration,
}

/// Creates 16 workers that tell when they began; the last of them decides.
async fn batch(client: &Client, caller: &Caller, name: &str) -> Made {
    let worker = |n: usize| {
        json!({
            "title": format!("{name} {n}"), "backend": "command",
            "prompt": "date +%s%N; exec sleep 1000",
            "worktree": {"branch": format!("{name}-{n}")},
        })
    };
    let workers: Vec<Value> = (0..WORKERS).map(worker).collect();
    let (begun, begun_ns) = (Instant::now(), now_ns());
    let made = ids(&call(client, caller, "batch_create_workers", json!({"workers": workers})).await);
    let answered = begun.elapsed();
    let mut last = 0;
    for id in &made {
        last = last.max(began(client, *id).await);
    }
    let running = Duration::from_nanos(u64::try_from(last - begun_ns).unwrap());
    Made { workers: made, answered, running }
}

/// The time that a worker printed first.
async fn began(client: &Client, id: Uuid) -> u128 {
    loop {
        let view = client.mission(id).await.unwrap();
        assert!(!view.status.is_ended(), "{view:?}");
        let page = client.events(id, &Default::default()).await.unwrap();
        let text = page.events.iter().find_map(|event| match &event.body {
            sandboxed_domain::api::EventBody::TextDelta { content } => content.trim().parse().ok(),
            _ => None,
        });
        if let Some(time) = text {
            return time;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks around, as bosses do, until the spare worktrees are there.
async fn spares_made(daemon: &Daemon, client: &Client, caller: &Caller) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let layout = call(client, caller, "get_workspace_layout", json!({})).await;
        let root = Path::new(layout["workspace"]["root"].as_str().unwrap()).join("spares");
        if ready(&root) >= WORKERS {
            return;
        }
        assert!(Instant::now() < until, "no spares in {}: {}", root.display(), daemon.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Spares of the newest tree.
fn ready(root: &Path) -> usize {
    let trees = std::fs::read_dir(root).into_iter().flatten().flatten();
    let newest = trees.max_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
    let Some(newest) = newest else { return 0 };
    let files = std::fs::read_dir(newest.path()).into_iter().flatten().flatten();
    files.filter(|entry| entry.path().extension().is_some_and(|x| x == "index")).count()
}

fn peer_rounds(daemon: &Daemon, repo: &Path, files: usize) -> Vec<Duration> {
    let images = daemon.data().join("images");
    let image = std::fs::read_dir(images).unwrap().flatten().map(|entry| entry.path().join("rootfs"));
    let image = image.into_iter().find(|path| path.is_dir()).expect("the image is built at the first start");
    let mut times = Vec::new();
    for round in 0..PEER_ROUNDS {
        let begun = Instant::now();
        let mut running = Vec::new();
        for n in 0..WORKERS {
            let tree = daemon.root().join(format!("peer-{files}-{round}-{n}"));
            let (branch, path) = (format!("peer-{round}-{n}"), tree.display().to_string());
            git(repo, &["worktree", "add", "-q", "-b", &branch, &path]);
            running.push(nspawn(&image, &tree, &machine(n)));
        }
        times.push(begun.elapsed());
        for (n, mut child) in running.into_iter().enumerate() {
            // It ends when its stdin does.
            drop(child.stdin.take());
            child.wait().unwrap();
            // Where PID 1 is not systemd, nspawn leaves this.
            let _ = std::fs::remove_dir(Path::new("/run/systemd/nspawn/propagate").join(machine(n)));
        }
    }
    times
}

fn machine(n: usize) -> String {
    format!("bench-{}-{n}", std::process::id())
}

/// Starts a plain nspawn and waits for the first byte that its command prints.
fn nspawn(image: &Path, tree: &Path, machine: &str) -> Child {
    let mut child = Command::new("systemd-nspawn")
        .args(["-q", "--register=no", "--keep-unit", "--console=pipe", "--settings=no", "--read-only"])
        .args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"])
        .arg(format!("--machine={machine}"))
        .arg(format!("--bind={}", tree.display()))
        .arg("-D")
        .arg(image)
        .args(["/bin/sh", "-c", "echo up; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).expect("nspawn starts");
    child
}
