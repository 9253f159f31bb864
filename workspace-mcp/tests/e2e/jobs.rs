//! Commands and jobs: output, yielding, input, signals, lists, limits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::Stage;

#[tokio::test]
async fn a_command_answers_with_its_output_and_exit_code() {
    let stage = Stage::new().await;
    std::fs::create_dir(stage.path("sub")).unwrap();
    let answer = stage
        .server
        .call("run_command", json!({"command": "echo out; echo err >&2; pwd; exit 0", "cwd": "sub"}))
        .await;
    assert!(!answer.is_error());
    let pwd = stage.path("sub").canonicalize().unwrap();
    assert_eq!(answer.block(0), format!("out\nerr\n{}\n", pwd.display()));
    assert!(answer.block(1).starts_with("[done, exit code 0 after "), "{}", answer.block(1));
    assert_eq!((answer.fact("exit_code"), answer.fact("status")), (json!(0), json!("exited")));
    let failed = stage.server.call("run_command", json!({"command": "echo why; exit 7"})).await;
    assert!(
        failed.is_error() && failed.block(0) == "why\n" && failed.block(1).starts_with("[exit code 7 after"),
        "{failed:?}"
    );
    let quiet = stage.server.call("run_command", json!({"command": "true"})).await;
    assert_eq!(quiet.block(0), "(no output)");
    let killed = stage.server.call("run_command", json!({"command": "kill -SEGV $$"})).await;
    assert!(killed.is_error() && killed.block(1).contains("ended by signal SEGV"), "{killed:?}");
    let stdin = stage.server.text("run_command", json!({"command": "cat; echo end"})).await;
    assert!(stdin.starts_with("end\n"), "without input a command that reads does not hang: {stdin}");
    stage.finish().await;
}

#[tokio::test]
async fn long_output_is_cut_in_the_middle_and_whole_in_a_file() {
    let stage = Stage::new().await;
    let answer =
        stage.server.call("run_command", json!({"command": "seq 1 100000", "max_bytes": 2000})).await;
    let text = answer.block(0);
    assert!(text.starts_with("1\n2\n") && text.ends_with("99999\n100000\n") && text.len() < 2100, "{text}");
    let path = answer.fact("output_path");
    let page = stage.server.call("read_file", json!({"path": path, "offset": 50_000, "limit": 2})).await;
    assert_eq!(page.block(0), "50000\n50001\n");
    assert!(answer.link().unwrap().ends_with(path.as_str().unwrap()));
    let colours = stage
        .server
        .text("run_command", json!({"command": "printf '\\033[31mred\\033[0m\\n10%%\\r20%%\\n'"}))
        .await;
    assert!(colours.starts_with("red\n20%\n"), "{colours:?}");
    stage.finish().await;
}

#[tokio::test]
async fn a_long_command_becomes_a_job_that_can_be_waited_for() {
    let stage = Stage::new().await;
    let script = "echo begun; read line; echo got $line; sleep 0.2; exit 3";
    let arguments = json!({"command": script, "input": "pipe", "yield_seconds": 0.5});
    let answer = stage.server.call("run_command", arguments).await;
    assert!(!answer.is_error() && answer.text().contains("still running after 0.5 s as job"), "{answer:?}");
    let job = answer.fact("job_id");
    assert_eq!(stage.server.job_says(&job, "begun\n").await, "begun\n");
    let jobs = stage.server.data("list_jobs", json!({"running": true})).await;
    assert_eq!(jobs["jobs"][0]["cwd"], json!(stage.dir.path().canonicalize().unwrap()));
    assert_eq!(
        (&jobs["total"], &jobs["jobs"][0]["job_id"], &jobs["jobs"][0]["status"]),
        (&json!(1), &job, &json!("running"))
    );
    let sent = stage.server.call("send_input", json!({"job_id": job, "text": "wörd\n"})).await;
    assert!(sent.block(0).starts_with("got wörd\n"), "{sent:?}");
    let ended = stage.server.call("read_output", json!({"job_id": job, "wait_seconds": 30})).await;
    assert!(ended.text().contains("exit code 3 after") && ended.block(0) == "begun\ngot wörd\n", "{ended:?}");
    assert!(!ended.is_error(), "reading what a failed job wrote is no failure");
    let again = stage.server.problem("send_input", json!({"job_id": job, "text": "x"})).await;
    assert_eq!(again["code"], "job_ended");
    assert_eq!(stage.server.problem("signal_job", json!({"job_id": job})).await["code"], "job_ended");
    stage.finish().await;
}

#[tokio::test]
async fn output_is_read_in_pages_and_new_output_is_waited_for() {
    let stage = Stage::new().await;
    let script = "seq 1 1000; read a; echo second; read b; echo third";
    let job = stage.server.start_job(json!({"command": script, "input": "pipe"})).await;
    stage.server.job_says(&job, "\n1000\n").await;
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let page = stage
            .server
            .call("read_output", json!({"job_id": job, "offset": offset, "max_bytes": 700}))
            .await;
        if page.fact("next_offset") == offset {
            break;
        }
        text.push_str(page.block(0));
        offset = page.fact("next_offset").as_u64().unwrap();
    }
    let want: String = (1..=1000).map(|n| format!("{n}\n")).collect();
    assert!(text == want, "{} of {} bytes", text.len(), want.len());
    let wait = json!({"job_id": job, "offset": offset, "wait_seconds": 60, "wait_for": "output"});
    let say = json!({"job_id": job, "text": "x\n", "wait_seconds": 0});
    let (waited, _) =
        tokio::join!(stage.server.call("read_output", wait), stage.server.call("send_input", say));
    assert_eq!(waited.block(0), "second\n", "{waited:?}");
    let closed =
        stage.server.call("send_input", json!({"job_id": job, "close": true, "wait_seconds": 60})).await;
    assert!(closed.text().contains("third"), "{closed:?}");
    stage.finish().await;
}

#[tokio::test]
async fn a_job_that_ignores_term_is_ended_all_the_same() {
    let stage = Stage::new().await;
    let script = "trap '' TERM INT HUP; echo deaf; while :; do sleep 0.1; done";
    let job = stage.server.start_job(json!({"command": script})).await;
    stage.server.job_says(&job, "deaf").await;
    let after = stage.server.data("signal_job", json!({"job_id": job, "signal": "INT"})).await;
    assert_eq!(after["status"], "running");
    let begun = Instant::now();
    let after = stage.server.data("signal_job", json!({"job_id": job})).await;
    assert_eq!((&after["status"], &after["signal"]), (&json!("killed"), &json!(9)), "{after}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    let script = "trap 'echo bye; exit 4' TERM; sleep 1000 & echo polite; wait";
    let polite = stage.server.start_job(json!({"command": script})).await;
    stage.server.job_says(&polite, "polite").await;
    let after = stage.server.data("signal_job", json!({"job_id": polite})).await;
    assert_eq!((&after["status"], &after["exit_code"]), (&json!("exited"), &json!(4)));
    stage.finish().await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_ended_and_said() {
    let stage = Stage::new().await;
    let answer = stage.server.call("run_command", json!({"command": "sleep 1000 & echo $!"})).await;
    assert!(answer.block(1).contains("1 process left behind and ended"), "{answer:?}");
    let pid: i32 = answer.block(0).trim().parse().unwrap();
    assert!(rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_err());
    stage.finish().await;
}

#[tokio::test]
async fn ten_thousand_jobs_are_not_kept_and_sixty_five_do_not_run() {
    let stage = Stage::new().await;
    for _ in 0..64 {
        let command = format!("sleep 1000 # {}", "x".repeat(5000));
        stage.server.start_job(json!({"command": command})).await;
    }
    let refused = stage.server.problem("run_command", json!({"command": "true"})).await;
    assert_eq!(refused["code"], "too_many_jobs");
    let (mut all, mut offset) = (Vec::new(), json!(0));
    while offset.is_u64() {
        let jobs = stage.server.data("list_jobs", json!({"limit": 100, "offset": offset})).await;
        assert_eq!(jobs["total"], 64);
        assert!(jobs.to_string().len() < 30_000, "{}", jobs.to_string().len());
        all.extend(jobs["jobs"].as_array().unwrap().clone());
        offset = jobs["next_offset"].clone();
    }
    assert_eq!(all.len(), 64);
    for job in &all {
        stage.server.data("signal_job", json!({"job_id": job["job_id"], "signal": "KILL"})).await;
    }
    let mut last = Value::Null;
    for _ in 0..210 {
        last = stage.server.call("run_command", json!({"command": "true"})).await.fact("job_id");
    }
    let jobs = stage.server.data("list_jobs", json!({"limit": 1})).await;
    assert_eq!(jobs["jobs"][0]["job_id"], last);
    assert!((200..=201).contains(&jobs["total"].as_u64().unwrap()), "{jobs}");
    assert!(std::fs::read_dir(stage.path(".workspace-mcp/jobs/runs")).unwrap().count() <= 201);
    stage.finish().await;
}

/// All at once, as fast as a client can ask: no more than may run do, everybody else is told so, and nothing is left.
#[tokio::test]
async fn of_ten_thousand_jobs_asked_for_at_once_sixty_four_run_and_the_others_are_refused() {
    let stage = Stage::new().await;
    let start = |n: u32| json!({"command": format!("sleep 1000 # {n}"), "yield_seconds": 0});
    let answers = stage.server.calls("run_command", (0..10_000).map(start)).await;
    let (refused, started): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_error());
    assert_eq!((started.len(), refused.len()), (64, 9936));
    for answer in refused {
        let text = answer.text();
        assert!(text.len() < 1000 && text.contains("too_many_jobs"), "{text}");
    }
    let jobs = stage.server.data("list_jobs", json!({"running": true, "limit": 1})).await;
    assert_eq!(jobs["total"], 64);
    assert_eq!(std::fs::read_dir(stage.path(".workspace-mcp/jobs/runs")).unwrap().count(), 64);
    stage.finish().await;
}

#[tokio::test]
async fn a_flood_of_output_ends_its_job() {
    let stage = Stage::new().await;
    let answer = stage
        .server
        .call("run_command", json!({"command": "yes | head -c 1000000000; echo whole", "yield_seconds": 60}))
        .await;
    assert!(answer.is_error() && answer.text().contains("it wrote more than a job may"), "{answer:?}");
    assert!(answer.text().len() < 20_000);
    stage.finish().await;
}

#[tokio::test]
async fn a_workspace_that_cannot_be_written_says_where_jobs_may_go() {
    let stage = Stage::new().await;
    // In the way, so that the directory cannot be made, also not by root.
    stage.write(".workspace-mcp", "a file");
    let problem = stage.server.problem("run_command", json!({"command": "true"})).await;
    assert_eq!(problem["code"], "jobs_unavailable", "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("--state-dir"));
    let state = tempfile::tempdir().unwrap();
    let server =
        crate::stage::Server::start_with(stage.dir.path(), &["--state-dir", state.path().to_str().unwrap()])
            .await;
    let answer = server.call("run_command", json!({"command": "echo fine"})).await;
    assert_eq!(answer.block(0), "fine\n");
    assert!(answer.fact("output_path").as_str().unwrap().starts_with(state.path().to_str().unwrap()));
    server.leave().await;
    crate::stage::until(&state.path().join("jobs"), || !state.path().join("jobs/runner.sock").exists()).await;
    stage.finish().await;
}
