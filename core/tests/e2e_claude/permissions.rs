//! Permission modes: what an agent asks, who answers, and for how long an answer counts.

use std::path::PathBuf;
use std::process::Command;

use sandboxed_domain::api::{
    Answerer, AttentionEvent, AttentionKind, ErrorCode, EventBody, PermissionMode, RequestView,
};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step, ToolCall};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{BOSS, Stage, end_of, report, worker_with};

/// A command that Claude Code does not run unasked.
fn touch(name: &str) -> Step {
    Step::bash(&format!("touch {name}"))
}

fn asking(prompt: &str) -> Value {
    worker_with(prompt, json!({"permission_mode": "default"}))
}

/// Waits until the worker needs an answer; the event and the request.
async fn needs_input(stage: &Stage, worker: Uuid) -> (AttentionEvent, RequestView) {
    let answer = stage.daemon.wait(BOSS, json!({"worker_ids": [worker], "timeout_seconds": 240})).await;
    let event = answer.events.into_iter().find(|event| event.kind == AttentionKind::NeedsInput).unwrap();
    let pending = stage.daemon.client().requests().await.unwrap();
    let view = pending.into_iter().find(|view| Some(&view.request_id) == event.request_id.as_ref()).unwrap();
    (event, view)
}

async fn decide(stage: &Stage, request: &str, decision: &str, answer: Option<&str>) {
    let params = json!({"request_id": request, "decision": decision, "answer": answer});
    let _: Value = stage.daemon.call(BOSS, "answer_worker", params).await;
}

/// A verb of `mission` by the command line; what it prints.
fn cli(stage: &Stage, arguments: &[&str]) -> String {
    let settings = stage.daemon.settings();
    let output = Command::new(&stage.daemon.program)
        .arg("mission")
        .args(arguments)
        .env("SANDBOXED_SH_DATA_DIR", &settings.data_dir)
        .env("SANDBOXED_SH_PORT", settings.port.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Who answered, and how, in order.
async fn answers(stage: &Stage, mission: Uuid) -> Vec<(String, Answerer)> {
    let answered = |body| match body {
        EventBody::RequestAnswered { decision, by, .. } => Some((decision, by)),
        _ => None,
    };
    stage.daemon.events(mission).await.into_iter().filter_map(|event| answered(event.body)).collect()
}

#[tokio::test]
async fn what_is_allowed_is_done_and_what_is_denied_is_not_and_the_model_learns_why() {
    let steps = [touch("one"), touch("two"), report("DONE", "asked twice"), Step::text("Done.")];
    let stage = Stage::with(steps).await;
    let id = stage.worker(asking("go [[s]]")).await;
    let (event, view) = needs_input(&stage, id).await;
    assert_eq!(
        (event.status, event.request_kind.as_deref()),
        (S::NeedsInput, Some("permission")),
        "{event:?}"
    );
    assert_eq!(event.options, ["allow", "allow_always", "deny"]);
    assert_eq!(event.summary, "Bash: touch one");
    assert_eq!((view.options, view.kind.as_str()), (event.options, "permission"));
    let directory = stage.mission_dir(id).await;
    assert!(!directory.join("one").exists(), "nothing is done before the answer");
    decide(&stage, &view.request_id, "allow", None).await;

    let opened = |request: &str| {
        let request = request.to_owned();
        move |body: &EventBody| matches!(body, EventBody::RequestOpened { request_id, .. } if *request_id != request)
    };
    let second = stage.event(id, opened(&view.request_id)).await;
    let EventBody::RequestOpened { request_id, .. } = second.body else { panic!("{second:?}") };
    assert!(directory.join("one").exists());
    // A person answers this one.
    let listed: Value = serde_json::from_str(&cli(&stage, &["requests", "--json"])).unwrap();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["request_id"]), (1, &json!(request_id)));
    assert!(cli(&stage, &["requests"]).contains("Bash: touch two"));
    cli(&stage, &["answer", &request_id, "deny", "--answer", "not two of them"]);
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert!(!directory.join("two").exists());
    assert!(stage.conversation("s/2").await.contains("not two of them"));
    let expected = [("allow".to_owned(), Answerer::Boss), ("deny".to_owned(), Answerer::User)];
    assert_eq!(answers(&stage, id).await, expected);
    stage.finish().await;
}

#[tokio::test]
async fn allowed_always_is_a_rule_of_this_mission_and_outlives_its_process() {
    let script = Script::default()
        .scenario("first", [touch("same"), touch("same"), report("DONE", "once"), Step::text("Done.")])
        .scenario("second", [touch("same"), touch("other"), report("DONE", "twice"), Step::text("Done.")]);
    let stage = Stage::new(script).await;
    let id = stage.worker(asking("go [[first]]")).await;
    let (_, view) = needs_input(&stage, id).await;
    assert!(view.rule.as_deref().is_some_and(|rule| rule.contains("touch same")), "{view:?}");
    decide(&stage, &view.request_id, "allow_always", None).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");

    let before = stage.newest(id).await;
    // What the CLI itself remembers is taken away: the rule is the mission's.
    std::fs::remove_file(stage.mission_dir(id).await.join(".claude/settings.json")).unwrap();
    let params = json!({"worker_id": id, "prompt": "again [[second]]"});
    let _: Value = stage.daemon.call(BOSS, "resume_worker", params).await;
    let by_rule = |body: &EventBody| matches!(body, EventBody::RequestAnswered { by: Answerer::Rule, .. });
    let answered = stage.event_after(id, before, by_rule).await;
    let needs =
        |body: &EventBody| matches!(body, EventBody::MissionStatusChanged { status: S::NeedsInput, .. });
    let asked = stage.event_after(id, before, needs).await;
    assert!(asked.sequence > answered.sequence, "only the other command needs somebody");
    let pending = stage.daemon.client().requests().await.unwrap();
    assert_eq!(pending.iter().map(|view| view.title.as_str()).collect::<Vec<_>>(), ["Bash: touch other"]);
    decide(&stage, &pending[0].request_id, "deny", None).await;
    stage.event_after(id, before, crate::stage::ended).await;
    stage.finish().await;
}

/// Where the CLI wants the model to write its plan, as it tells the model.
async fn plan_file(stage: &Stage) -> PathBuf {
    let asked = stage.request("s/0").await.body.to_string();
    let path =
        asked.split(char::is_whitespace).find(|word| word.contains("/plans/") && word.ends_with(".md"));
    PathBuf::from(path.unwrap_or_else(|| panic!("no plan file: {asked}")))
}

#[tokio::test]
async fn a_plan_is_approved_before_anything_is_done() {
    let tool = |name: &str, input| Step {
        tool: Some(ToolCall::Named { name: name.into(), input }),
        ..Step::default()
    };
    let question = json!({"questions": [{"question": "Which fence?", "header": "Fence", "multiSelect": false,
        "options": [{"label": "Left", "description": "l"}, {"label": "Right", "description": "r"}]}]});
    let steps = [
        tool("AskUserQuestion", question),
        tool("ExitPlanMode", json!({})),
        touch("painted"),
        report("DONE", "painted"),
        Step::text("Done."),
    ];
    let stage = Stage::with(steps).await;
    let id = stage.worker(worker_with("go [[s]]", json!({"permission_mode": "plan"}))).await;
    let (event, view) = needs_input(&stage, id).await;
    assert_eq!(
        (event.request_kind.as_deref(), event.options),
        (Some("question"), vec!["Left".into(), "Right".into()])
    );
    // The model would write it by a tool; its place is known only now.
    let file = plan_file(&stage).await;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "# Paint the fence\n\n1. touch painted\n").unwrap();
    let params = json!({"request_id": view.request_id, "answer": "Left"});
    let _: Value = stage.daemon.call(BOSS, "answer_worker", params).await;

    let planned = |body: &EventBody| matches!(body, EventBody::RequestOpened { kind, .. } if kind == "plan");
    stage.event(id, planned).await;
    let view = stage.daemon.client().requests().await.unwrap().remove(0);
    assert_eq!(
        (view.title.as_str(), view.options),
        ("plan: Paint the fence", vec!["allow".into(), "deny".into()])
    );
    let always = json!({"request_id": view.request_id, "decision": "allow_always"});
    let refused = stage.daemon.tool(BOSS, "answer_worker", always).await.unwrap_err();
    assert_eq!((refused.code, refused.field.as_deref()), (ErrorCode::InvalidArgument, Some("decision")));
    let page: Value =
        stage.daemon.call(BOSS, "get_worker", json!({"worker_id": id, "view": "transcript"})).await;
    assert!(page["text"].as_str().unwrap().contains("1. touch painted"), "the whole plan: {page}");
    decide(&stage, &view.request_id, "allow", None).await;

    // From here on it asks for what it does.
    let permission =
        |body: &EventBody| matches!(body, EventBody::RequestOpened { kind, .. } if kind == "permission");
    let asked = stage.event(id, permission).await;
    let EventBody::RequestOpened { request_id, .. } = asked.body else { panic!("{asked:?}") };
    decide(&stage, &request_id, "allow", None).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert!(stage.mission_dir(id).await.join("painted").exists());
    let view = stage.daemon.client().mission(id).await.unwrap();
    assert_eq!(view.permission_mode, Some(PermissionMode::Default), "resumed it does not plan again");
    stage.finish().await;
}

#[tokio::test]
async fn edits_need_no_question_where_they_are_accepted() {
    let write = Step {
        tool: Some(ToolCall::Named {
            name: "Write".into(),
            input: json!({"file_path": "note.txt", "content": "hello"}),
        }),
        ..Step::default()
    };
    let stage = Stage::with([write, report("DONE", "written"), Step::text("Done.")]).await;
    let record = stage.run(worker_with("go [[s]]", json!({"permission_mode": "accept_edits"}))).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!(answers(&stage, record.worker_id).await, []);
    stage.finish().await;
}

#[tokio::test]
async fn on_the_host_it_asks_unless_bypass_is_said() {
    let stage = Stage::with([Step::text("DONE")]).await;
    let mode = |more: Value| {
        let stage = &stage;
        async move {
            let mut fields = json!({"workspace_id": "host"});
            fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let id = stage.worker(worker_with("go [[s]]", fields)).await;
            stage.end(id).await;
            stage.daemon.client().mission(id).await.unwrap().permission_mode
        }
    };
    assert_eq!(mode(json!({})).await, Some(PermissionMode::Default));
    assert_eq!(mode(json!({"permission_mode": "bypass"})).await, Some(PermissionMode::Bypass));
    stage.finish().await;
}
