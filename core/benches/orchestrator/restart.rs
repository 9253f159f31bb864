//! The daemon is killed with 50 live workers: how soon it serves again, and how soon it has told of what each of them
//! printed while it was dead.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};

use crate::setting::{call, caller, cancel, daemon, ids};
use crate::table::row;

const WORKERS: usize = 50;
const ROUNDS: usize = 5;

pub async fn measure() {
    let mut daemon = daemon(&[]).await;
    let (client, caller) = (daemon.client(), caller("restart", &daemon.repo()));
    let path = daemon.repo().join("said");
    let mut said = std::fs::File::options().create(true).append(true).open(&path).unwrap();
    let prompt = format!("exec tail -n +1 -f {}", path.display());
    let worker = json!({"title": "listener", "backend": "command", "prompt": prompt});
    let workers: Vec<Value> = vec![worker; WORKERS];
    let mut heard = Box::pin(client.stream(None, Some(0)).await.unwrap());
    writeln!(said, "round begin").unwrap();
    let made = ids(&call(&client, &caller, "batch_create_workers", json!({"workers": workers})).await);
    let mut last = all_said(&mut heard, "round begin").await;
    let (mut serving, mut told) = (vec![], vec![]);
    for round in 0..ROUNDS {
        daemon.kill9();
        let word = format!("round {round}");
        writeln!(said, "{word}").unwrap();
        // They print it while nobody follows.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        daemon.restart().await;
        client.health().await.unwrap();
        serving.push(begun.elapsed());
        let mut stream = Box::pin(client.stream(None, Some(last)).await.unwrap());
        last = all_said(&mut stream, &word).await;
        told.push(begun.elapsed());
    }
    row(&format!("restart with {WORKERS} live workers: start to serving"), serving);
    row(&format!("restart with {WORKERS} live workers: start to a new event of each"), told);
    let running = client.running().await.unwrap().len();
    assert_eq!(running, WORKERS, "no worker was lost");
    cancel(&client, &caller, &made).await;
    daemon.finish().await;
}

/// Reads the stream until each worker has said `word`, once. Returns the last sequence.
async fn all_said(
    stream: &mut (
             impl futures::Stream<Item = Result<sandboxed_client::Frame, sandboxed_domain::api::ApiError>> + Unpin
         ),
    word: &str,
) -> i64 {
    let (mut seen, mut last) = (BTreeSet::new(), 0);
    let reading = async {
        while seen.len() < WORKERS {
            let frame = stream.next().await.unwrap().unwrap();
            last = frame.id.unwrap_or(last);
            if frame.event == "text_delta" && frame.data["content"].as_str().unwrap().contains(word) {
                assert!(seen.insert(frame.data["mission_id"].to_string()), "told twice");
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("each worker is heard");
    last
}
