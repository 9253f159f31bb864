//! What programs wrote is told when they have ended, however much it was, and never more than a model should read.

use serde_json::{Value, json};

use crate::stage::{Stage, soon};

async fn launch(stage: &Stage, command: &str) -> Value {
    stage.server.data("launch_program", json!({"command": command, "wait_seconds": 60})).await
}

async fn programs(stage: &Stage) -> Vec<Value> {
    let list = stage.server.data("list_desktops", json!({})).await;
    list["desktops"][0]["programs"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_program_that_ends_is_told_with_the_end_of_what_it_wrote() {
    let stage = Stage::new().await;
    let failed = json!({"command": "seq 1 100000; echo last words >&2; exit 3", "wait_seconds": 60});
    let problem = stage.server.problem("launch_program", failed).await;
    let message = problem["message"].as_str().unwrap();
    assert!(problem["code"] == "not_started" && message.ends_with("99999\n100000\nlast words"), "{message}");
    assert!(message.contains("exit code 3: …") && message.chars().count() < 4100, "{message}");
    // It waits for nobody who would read all that, nor does the answer for what it leaves behind.
    let much = launch(&stage, "yes | head -c 20000000; sleep 1000 & echo all").await;
    assert_eq!(much["status"], "ended", "{much}");
    assert!(much["output"].as_str().unwrap().ends_with("y\nall"), "{much}");
    let endless = launch(&stage, "yes & echo all").await;
    assert_eq!(endless["status"], "ended", "{endless}");
    stage.finish().await;
}

#[tokio::test]
async fn one_that_ends_later_is_listed_with_what_it_wrote() {
    let stage = Stage::new().await;
    let files = tempfile::tempdir().unwrap();
    let go = files.path().join("go");
    let command =
        format!("mkfifo {0} && echo before && read -r word < {0}; echo $word >&2; exit 7", go.display());
    let started = stage.server.data("launch_program", json!({"command": command, "wait_seconds": 0})).await;
    assert_eq!(started["status"], "running", "{started}");
    let write = tokio::task::spawn_blocking(move || {
        while !go.exists() {
            std::thread::yield_now();
        }
        std::fs::write(go, "reason\n").unwrap();
    });
    soon(write).await.unwrap();
    let ended = async {
        loop {
            let programs = programs(&stage).await;
            if programs[0].get("ended").is_some() {
                return programs;
            }
            assert_eq!(programs[0].get("output"), None, "it may have more to say");
        }
    };
    let programs = soon(ended).await;
    let told = (&programs[0]["ended"], &programs[0]["output"]);
    assert_eq!(told, (&json!("exit code 7"), &json!("before\nreason")));
    stage.finish().await;
}

#[tokio::test]
async fn a_list_of_many_programs_has_the_newest_and_an_end() {
    let stage = Stage::new().await;
    for number in 0..70 {
        let command = format!("seq 1 1000; echo {number}; : {}", "-".repeat(200));
        assert_eq!(launch(&stage, &command).await["status"], "ended");
    }
    let programs = programs(&stage).await;
    assert!((10..64).contains(&programs.len()), "{}", programs.len());
    for (program, number) in programs.iter().rev().zip((0..70).rev()) {
        let output = program["output"].as_str().unwrap();
        assert!(output.starts_with('…') && output.ends_with(&format!("\n1000\n{number}")), "{program}");
    }
    stage.finish().await;
}
