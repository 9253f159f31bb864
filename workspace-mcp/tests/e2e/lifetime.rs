//! Who outlives whom: jobs, servers, clients, runners.

use rmcp::model::CallToolRequestParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::stage::{Server, Stage, runner_left, soon, until};

/// A job that says when it is up, and on TERM when it ends.
fn watched(name: &str) -> String {
    format!("trap 'echo over > {name}.over; exit 5' TERM; echo up > {name}.up; while :; do sleep 0.05; done")
}

#[tokio::test]
async fn a_job_ends_with_its_server_also_when_that_is_killed() {
    let dir = TempDir::new().unwrap();
    for (name, killed) in [("left", false), ("killed", true)] {
        let server = Server::start(dir.path()).await;
        let job = server.start_job(json!({"command": watched(name)})).await;
        until(dir.path(), || dir.path().join(format!("{name}.up")).exists()).await;
        if killed {
            server.kill().await
        } else {
            server.leave().await
        }
        until(dir.path(), || dir.path().join(format!("{name}.over")).exists()).await;
        runner_left(dir.path()).await;
        let next = Server::start(dir.path()).await;
        let jobs = next.data("list_jobs", json!({})).await;
        let first = &jobs["jobs"][0];
        assert_eq!(
            (&first["job_id"], &first["exit_code"], &first["reason"]),
            (&job, &json!(5), &json!("owner_gone"))
        );
        next.leave().await;
        runner_left(dir.path()).await;
    }
}

#[tokio::test]
async fn a_durable_job_goes_on_and_the_next_session_finds_its_end() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    let script = "echo first; while [ ! -e go ]; do sleep 0.02; done; echo second; exit 9";
    let job = server.start_job(json!({"command": script, "durable": true})).await;
    server.job_says(&job, "first").await;
    server.kill().await;
    let second = Server::start(dir.path()).await;
    let running = second.data("list_jobs", json!({"running": true})).await;
    assert_eq!((&running["jobs"][0]["job_id"], &running["jobs"][0]["durable"]), (&job, &json!(true)));
    second.leave().await;
    // Nobody is there when it ends.
    std::fs::write(dir.path().join("go"), "").unwrap();
    runner_left(dir.path()).await;
    let third = Server::start(dir.path()).await;
    let read = third.call("read_output", json!({"job_id": job})).await;
    assert!(read.block(0) == "first\nsecond\n" && read.text().contains("exit code 9"), "{read:?}");
    third.leave().await;
    runner_left(dir.path()).await;
}

#[tokio::test]
async fn two_servers_share_a_workspace() {
    let dir = TempDir::new().unwrap();
    let (one, two) = (Server::start(dir.path()).await, Server::start(dir.path()).await);
    let (a, b) = tokio::join!(
        one.start_job(json!({"command": watched("a")})),
        two.start_job(json!({"command": watched("b")})),
    );
    for name in ["a.up", "b.up"] {
        until(dir.path(), || dir.path().join(name).exists()).await;
    }
    let ended = two.data("signal_job", json!({"job_id": a})).await;
    assert_eq!(ended["exit_code"], 5, "each sees the other's jobs");
    one.leave().await;
    let still = two.data("list_jobs", json!({"running": true})).await;
    assert_eq!(still["jobs"][0]["job_id"], b, "and keeps its own");
    two.leave().await;
    runner_left(dir.path()).await;
    assert!(dir.path().join("b.over").exists());
}

#[tokio::test]
async fn a_call_that_is_taken_back_ends_its_command() {
    let stage = Stage::new().await;
    let arguments = json!({"command": watched("again"), "yield_seconds": 200});
    let request = rmcp::model::ClientRequest::CallToolRequest(rmcp::model::CallToolRequest::new(
        CallToolRequestParams::new("run_command").with_arguments(arguments.as_object().unwrap().clone()),
    ));
    let options = rmcp::service::PeerRequestOptions::no_options();
    let handle = soon(stage.server.client().send_cancellable_request(request, options)).await.unwrap();
    until(stage.dir.path(), || stage.path("again.up").exists()).await;
    soon(handle.cancel(Some("no longer wanted".into()))).await.unwrap();
    until(stage.dir.path(), || stage.path("again.over").exists()).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_client_that_vanishes_in_the_middle_of_a_call_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path()).await;
    let arguments = json!({"command": watched("mid"), "yield_seconds": 200});
    let request = rmcp::model::ClientRequest::CallToolRequest(rmcp::model::CallToolRequest::new(
        CallToolRequestParams::new("run_command").with_arguments(arguments.as_object().unwrap().clone()),
    ));
    let options = rmcp::service::PeerRequestOptions::no_options();
    let _unanswered = soon(server.client().send_cancellable_request(request, options)).await.unwrap();
    until(dir.path(), || dir.path().join("mid.up").exists()).await;
    server.leave().await;
    until(dir.path(), || dir.path().join("mid.over").exists()).await;
    runner_left(dir.path()).await;
}

#[tokio::test]
async fn jobs_are_possible_again_after_their_directory_or_runner_was_lost() {
    let stage = Stage::new().await;
    let run = || stage.server.call("run_command", json!({"command": "echo fine"}));
    assert_eq!(run().await.block(0), "fine\n");
    std::fs::remove_dir_all(stage.path(".workspace-mcp")).unwrap();
    assert_eq!(run().await.block(0), "fine\n", "somebody cleaned up");
    let job = stage.server.start_job(json!({"command": "echo $$; exec sleep 1000"})).await;
    let left = stage.server.job_says(&job, "\n").await;
    let left = Pid::from_raw(left.trim().parse().unwrap()).unwrap();
    let runner = stage.server.call("run_command", json!({"command": "echo $PPID"})).await;
    let runner = Pid::from_raw(runner.block(0).trim().parse().unwrap()).unwrap();
    kill_process(runner, Signal::KILL).unwrap();
    assert_eq!(run().await.block(0), "fine\n", "another runner");
    let read = stage.server.call("read_output", json!({"job_id": job})).await;
    assert_eq!(read.fact("status"), "lost", "{read:?}");
    stage.finish().await;
    // What the killed runner left is the test's to end.
    kill_process(left, Signal::KILL).unwrap();
}
