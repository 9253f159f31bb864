//! Memory of the daemon, idle and for each live worker, and of a sandbox that runs nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::setting::{call, caller, cancel, daemon, ids, workspace};
use crate::support::Daemon;
use crate::table::figure;

const WORKERS: usize = 50;
const SANDBOXES: usize = 20;

pub async fn measure() {
    let daemon = daemon(&[]).await;
    let (client, caller) = (daemon.client(), caller("memory", &daemon.repo()));
    client.health().await.unwrap();
    let idle = resident(&daemon);
    figure("daemon's memory, idle (RSS)", idle / 1024.0, "MiB");
    call(&client, &caller, "get_workspace_layout", json!({})).await;
    // Warm: a batch of workers has come and gone.
    let made = sleepers(&client, &caller, WORKERS).await;
    cancel(&client, &caller, &made).await;
    settle().await;
    let before = resident(&daemon);
    figure("daemon's memory after 50 workers have come and gone (RSS)", before / 1024.0, "MiB");
    let made = sleepers(&client, &caller, WORKERS).await;
    settle().await;
    let after = resident(&daemon);
    figure("daemon's memory with 50 live workers (RSS)", after / 1024.0, "MiB");
    figure("  for each live worker, over the idle daemon", (after - idle) / WORKERS as f64, "KiB");
    figure("  for each live worker, over the used daemon", (after - before) / WORKERS as f64, "KiB");
    cancel(&client, &caller, &made).await;
    sandboxes(&daemon).await;
    daemon.finish().await;
}

async fn sandboxes(daemon: &Daemon) {
    let client = daemon.client();
    let mut spaces = Vec::new();
    for n in 0..SANDBOXES {
        spaces.push(workspace(&client, &format!("empty{n}")).await);
    }
    // The first start brings the programs into the page cache.
    client.start_workspace(&spaces[0].id.to_string()).await.unwrap();
    settle().await;
    let before = available();
    for space in &spaces[1..] {
        client.start_workspace(&space.id.to_string()).await.unwrap();
    }
    settle().await;
    let each = (before - available()) / (SANDBOXES - 1) as f64;
    figure("memory of an empty sandbox (fall of MemAvailable)", each / 1024.0, "MiB");
    figure("  of which its processes (Pss of runner and nspawn)", processes(daemon) / 1024.0, "MiB");
    for space in &spaces {
        client.stop_workspace(&space.id.to_string()).await.unwrap();
    }
}

async fn sleepers(
    client: &sandboxed_client::Client,
    caller: &sandboxed_domain::api::Caller,
    count: usize,
) -> Vec<uuid::Uuid> {
    let worker = json!({"title": "sleeper", "backend": "command", "prompt": "exec sleep 1000"});
    let workers: Vec<Value> = vec![worker; count];
    let made = ids(&call(client, caller, "batch_create_workers", json!({"workers": workers})).await);
    let active = async {
        loop {
            let layout = call(client, caller, "get_workspace_layout", json!({})).await;
            let running = client.running().await.unwrap();
            let all = running.iter().filter(|one| one.last_activity != "starting").count();
            if layout["limits"]["active"] == count && all >= 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), active).await.expect("all workers run");
    made
}

/// Lets what was started finish; the figures are of rest.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// Resident memory of the daemon in KiB.
fn resident(daemon: &Daemon) -> f64 {
    field(&std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap(), "VmRSS")
}

/// Memory that could be given out, in KiB.
fn available() -> f64 {
    field(&std::fs::read_to_string("/proc/meminfo").unwrap(), "MemAvailable")
}

/// Proportional memory in KiB of the processes of one sandbox, on average.
fn processes(daemon: &Daemon) -> f64 {
    let prefix = daemon.leftovers().machine_prefix();
    let (mut total, mut machines) = (0.0, 0);
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let text = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let (cmdline, cgroup) = (text("cmdline"), text("cgroup"));
        let machine = cmdline.contains(&prefix);
        if machine || cgroup.contains(&prefix) {
            total +=
                text("smaps_rollup").lines().find(|l| l.starts_with("Pss:")).map_or(0.0, |l| field(l, "Pss"));
        }
        machines += usize::from(machine);
    }
    total / machines.max(1) as f64
}
