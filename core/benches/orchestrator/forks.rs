//! A worker with a sandbox of its own that begins with the workspace's present state: call to its first output, beside a
//! worker in the workspace's running sandbox, and one that is the first in a workspace which is new. All three go the
//! same way but for the sandbox.

use std::time::Duration;

use sandboxed_client::Client;
use sandboxed_domain::api::{Caller, EventBody};
use serde_json::{Value, json};

use crate::setting::{call, caller, daemon, ended, ids, now_ns, repository, workspace};
use crate::table::{against, row};

const ROUNDS: usize = 15;
/// What the workspace has of its own: 5,000 files and 200 MB.
const STATE: &str =
    "mkdir -p /opt/own && cd /opt/own && for n in $(seq 5000); do head -c 40000 /dev/zero > $n; done";

pub async fn measure() {
    let daemon = daemon(&[]).await;
    let repo = repository(&daemon.root().join("forked"), 100);
    let (client, caller) = (daemon.client(), caller("forks", &repo));
    first_output(&client, &caller, json!({"prompt": format!("{STATE}; date +%s%N")})).await;
    // The first fork of a state copies it.
    let copied = first_output(&client, &caller, json!({"isolation": "fork"})).await;
    let (mut shared, mut forked, mut fresh) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        shared.push(first_output(&client, &caller, json!({})).await);
        forked.push(first_output(&client, &caller, json!({"isolation": "fork"})).await);
        let own = workspace(&client, &format!("fresh{round}")).await.id.to_string();
        fresh.push(first_output(&client, &caller, json!({"workspace_id": own})).await);
        client.stop_workspace(&own).await.unwrap();
    }
    row("worker in the running sandbox: call to first output", shared);
    let fresh = row("worker in a new workspace, whose sandbox starts", fresh);
    against("fork of 5,000 files and 200 MB, against that", forked, fresh);
    row("the first fork of a new state, which is copied", vec![copied]);
    daemon.finish().await;
}

/// Runs one worker; how long after the call it printed.
async fn first_output(client: &Client, caller: &Caller, more: Value) -> Duration {
    let mut worker = json!({"title": "fork", "backend": "command", "prompt": "date +%s%N"});
    worker.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let begun = now_ns();
    let made = ids(&call(client, caller, "batch_create_workers", json!({"workers": [worker]})).await);
    ended(client, caller, &made).await;
    let events = client.events(made[0], &Default::default()).await.unwrap().events;
    let time = events.iter().find_map(|event| match &event.body {
        EventBody::TextDelta { content } => content.trim().parse::<u128>().ok(),
        _ => None,
    });
    let printed = time.unwrap_or_else(|| panic!("it printed no time: {events:#?}"));
    Duration::from_nanos(u64::try_from(printed - begun).unwrap())
}
