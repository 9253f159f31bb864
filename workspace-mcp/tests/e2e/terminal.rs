//! Jobs with a terminal.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn a_program_that_draws_is_seen_as_a_screen() {
    let stage = Stage::new().await;
    let script = r"printf 'hello\033[3;5Hthere\033[1;1H'; stty size; read -n1 key; printf '\033[2J\033[2;2Hkey %s' $key; read -n1 x";
    let arguments = json!({"command": script, "input": "terminal", "rows": 6, "cols": 30});
    let job = stage.server.start_job(arguments).await;
    stage.server.job_says(&job, "6 30").await;
    let screen = stage.server.call("read_output", json!({"job_id": job, "view": "screen"})).await;
    assert_eq!(screen.block(0), "6 30o\n\n    there", "{screen:?}");
    assert!(screen.block(1).contains("running; terminal of 6 rows and 30 columns"), "{}", screen.block(1));
    let typed = stage.server.call("send_input", json!({"job_id": job, "text": "q", "view": "screen"})).await;
    assert!(typed.block(1).contains("terminal of 6 rows and 30 columns"), "{typed:?}");
    // On a busy machine the echo and what is drawn for it may be further apart than a pause of output.
    stage.server.job_says(&job, "key q").await;
    let after = stage.server.call("read_output", json!({"job_id": job, "view": "screen"})).await;
    assert_eq!(after.block(0), "\n key q", "{after:?}");
    let end = stage.server.call("send_input", json!({"job_id": job, "text": "x", "wait_seconds": 60})).await;
    assert_eq!(end.fact("status"), "exited");
    stage.finish().await;
}

#[tokio::test]
async fn a_shell_in_a_terminal_is_talked_to() {
    let stage = Stage::new().await;
    let arguments = json!({"command": "PS1='> ' bash --norc -i", "input": "terminal"});
    let job = stage.server.start_job(arguments).await;
    stage.server.job_says(&job, "> ").await;
    stage.server.call("send_input", json!({"job_id": job, "text": "echo $((6*7))\n"})).await;
    stage.server.job_says(&job, "42").await;
    stage.server.call("send_input", json!({"job_id": job, "text": "sleep 1000\n", "wait_seconds": 1})).await;
    stage.server.call("send_input", json!({"job_id": job, "text": "\u{3}echo alive $?\n"})).await;
    stage.server.job_says(&job, "alive 130").await;
    let end =
        stage.server.call("send_input", json!({"job_id": job, "close": true, "wait_seconds": 60})).await;
    assert_eq!(end.fact("status"), "exited", "{end:?}");
    stage.finish().await;
}

#[tokio::test]
async fn only_a_terminal_has_a_screen_and_only_input_is_typed() {
    let stage = Stage::new().await;
    let plain = stage.server.start_job(json!({"command": "sleep 1000"})).await;
    let problem = stage.server.problem("read_output", json!({"job_id": plain, "view": "screen"})).await;
    assert_eq!(problem["field"], "view");
    let problem = stage.server.problem("send_input", json!({"job_id": plain, "text": "x"})).await;
    assert!(problem["hint"].as_str().unwrap().contains("input=pipe"), "{problem}");
    stage.finish().await;
}
