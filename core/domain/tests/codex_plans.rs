//! What Codex is started with: argv, environment, files, and what its codec is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;

use sandboxed_domain::api::{Effort, ErrorCode};
use sandboxed_domain::harness::{
    Codec, HarnessEvent, LaunchPlan, LaunchRequest, McpServer, PermissionMode, StdinMode, find,
};
use serde_json::{Value, json};
use toml_edit::DocumentMut;

const SECRET: &str = "sk-s3cret";

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn request() -> LaunchRequest {
    LaunchRequest {
        program: vec!["/opt/bin/codex".to_owned()],
        cwd: "/work/it's \"here\"".to_owned(),
        mission_dir: "/missions/m1".to_owned(),
        session_id: "11111111-1111-4111-8111-111111111111".to_owned(),
        resume: false,
        model: None,
        effort: None,
        permission: PermissionMode::Bypass,
        library_servers: Vec::new(),
        settings: None,
        mcp_servers: vec![McpServer {
            name: "orchestrator".to_owned(),
            command: "/opt/bin/mcp".to_owned(),
            args: vec!["--name".to_owned(), "a\"b\n".to_owned()],
            env: vars(&[("SOCKET", "unix:/run/s"), ("ODD.NAME", "é\u{7f}")]),
        }],
        instructions: "# You are a worker\n".to_owned(),
        credentials: vars(&[("OPENAI_API_KEY", SECRET), ("OTHER_SECRET", "x")]),
        env: vars(&[
            ("MY", "1"),
            ("CODEX_HOME", "/evil"),
            ("CODEX_API_KEY", "theirs"),
            ("OPENAI_BASE_URL", "http://evil"),
        ]),
        login: Vec::new(),
        command: Vec::new(),
        prompt: "hi".to_owned(),
    }
}

fn plan(request: &LaunchRequest) -> LaunchPlan {
    find("codex").unwrap().plan(request).unwrap()
}

fn file<'a>(plan: &'a LaunchPlan, name: &str) -> &'a str {
    let path = format!("/missions/m1/.codex/{name}");
    let file = plan.files.iter().find(|file| file.path == path).unwrap();
    assert_eq!((file.mode, file.keep_existing), (0o600, false));
    &file.content
}

fn config(request: &LaunchRequest) -> DocumentMut {
    file(&plan(request), "config.toml").parse().unwrap()
}

/// What the codec writes until the first turn is asked for: `thread/…` and `turn/start`.
fn opening(request: &LaunchRequest) -> Vec<Value> {
    let mut codec = codec(request);
    codec.encode_user_message("m-1", "hi").unwrap();
    let ready = codec.decode_line(&json!({"id": 1, "result": {}}).to_string());
    let mut lines = sent(&ready);
    let thread = json!({"id": 2, "result": {"thread": {"id": "t-1"}, "model": "gpt-5.5"}});
    lines.extend(sent(&codec.decode_line(&thread.to_string())));
    lines.remove(0);
    lines
}

fn codec(request: &LaunchRequest) -> Box<dyn Codec + Send> {
    let mut codec = find("codex").unwrap().codec();
    codec.restore(plan(request).codec);
    codec
}

fn sent(events: &[HarnessEvent]) -> Vec<Value> {
    let lines = events.iter().filter_map(|event| match event {
        HarnessEvent::Send { line } => Some(serde_json::from_str(line).unwrap()),
        _ => None,
    });
    lines.collect()
}

#[test]
fn it_is_an_app_server_of_the_mission() {
    let plan = plan(&request());
    assert_eq!(plan.argv, ["/opt/bin/codex", "app-server"]);
    assert_eq!((plan.stdin, plan.stdout_is_protocol), (StdinMode::Protocol, true));
    assert_eq!(plan.directories, ["/missions/m1/.codex", "/missions/m1/tmp"]);
    assert_eq!(plan.files.len(), 2, "a login beside them is left alone");
    assert_eq!(file(&plan, "AGENTS.md"), "# You are a worker\n");
    for (name, value) in [
        ("HOME", "/missions/m1"),
        ("CODEX_HOME", "/missions/m1/.codex"),
        ("OPENAI_API_KEY", SECRET),
        ("MY", "1"),
    ] {
        assert_eq!(plan.env.get(name).map(String::as_str), Some(value), "{name}");
    }
    for absent in ["OPENAI_BASE_URL", "CODEX_API_KEY", "OTHER_SECRET"] {
        assert!(!plan.env.contains_key(absent), "{absent}");
    }
}

#[test]
fn a_key_stands_nowhere_but_in_the_environment() {
    let plan = plan(&request());
    assert!(!plan.argv.join(" ").contains(SECRET));
    assert!(plan.files.iter().all(|file| !file.content.contains(SECRET)));
    assert!(!plan.codec.to_string().contains(SECRET));
    let config = config(&request());
    let hidden: Vec<_> = config["shell_environment_policy"]["exclude"].as_array().unwrap().iter().collect();
    assert_eq!(hidden.len(), 2);
    assert_eq!(hidden[0].as_str(), Some("OPENAI_API_KEY"));
}

#[test]
fn a_key_comes_with_a_provider_that_names_its_variable() {
    let config = config(&request());
    assert_eq!(config["model_provider"].as_str(), Some("sandboxed"));
    let provider = &config["model_providers"]["sandboxed"];
    assert_eq!(provider["env_key"].as_str(), Some("OPENAI_API_KEY"));
    assert_eq!(provider["base_url"].as_str(), Some("https://api.openai.com/v1"));
    let elsewhere = LaunchRequest {
        credentials: vars(&[("CODEX_API_KEY", SECRET), ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")]),
        ..request()
    };
    let provider = &self::config(&elsewhere)["model_providers"]["sandboxed"];
    assert_eq!(provider["env_key"].as_str(), Some("CODEX_API_KEY"));
    assert_eq!(provider["base_url"].as_str(), Some("http://127.0.0.1:1/v1"));
    assert_eq!(plan(&elsewhere).env.get("CODEX_API_KEY").map(String::as_str), Some(SECRET));
}

#[test]
fn without_a_key_the_login_of_the_built_in_provider_is_used() {
    let login = LaunchRequest { credentials: vars(&[("OPENAI_BASE_URL", "http://x/v1")]), ..request() };
    let config = config(&login);
    assert_eq!(config["model_provider"].as_str(), Some("openai"));
    assert_eq!(config["openai_base_url"].as_str(), Some("http://x/v1"));
    assert!(config.get("model_providers").is_none());
    assert_eq!(opening(&login)[0]["params"]["modelProvider"], "openai");
}

#[test]
fn the_configuration_says_servers_trust_and_what_is_off() {
    let config = config(&request());
    let server = &config["mcp_servers"]["orchestrator"];
    assert_eq!(server["command"].as_str(), Some("/opt/bin/mcp"));
    assert_eq!(server["args"].as_array().unwrap().get(1).unwrap().as_str(), Some("a\"b\n"));
    assert_eq!(server["env"]["SOCKET"].as_str(), Some("unix:/run/s"));
    assert_eq!(server["env"]["ODD.NAME"].as_str(), Some("é\u{7f}"));
    assert_eq!(server["default_tools_approval_mode"].as_str(), Some("approve"));
    assert_eq!(config["projects"]["/work/it's \"here\""]["trust_level"].as_str(), Some("trusted"));
    assert_eq!(config["check_for_update_on_startup"].as_bool(), Some(false));
    assert_eq!(config["analytics"]["enabled"].as_bool(), Some(false));
    for off in ["plugins", "apps", "shell_snapshot"] {
        assert_eq!(config["features"][off].as_bool(), Some(false), "{off}");
    }
}

#[test]
fn a_session_is_started_or_resumed_with_model_effort_and_mode() {
    let opened = opening(&request());
    let params = json!({
        "cwd": "/work/it's \"here\"", "approvalPolicy": "never", "sandbox": "danger-full-access",
        "modelProvider": "sandboxed",
    });
    assert_eq!(opened[0], json!({"id": 2, "method": "thread/start", "params": params}));
    assert_eq!(opened[1]["params"]["threadId"], "t-1");
    let full = LaunchRequest {
        resume: true,
        model: Some("gpt-6-sol".to_owned()),
        effort: Some(Effort::Max),
        permission: PermissionMode::Plan,
        ..request()
    };
    let opened = opening(&full);
    let thread = &opened[0];
    assert_eq!(
        (&thread["method"], &thread["params"]["threadId"]),
        (&json!("thread/resume"), &json!(full.session_id))
    );
    assert_eq!(
        (&thread["params"]["model"], &thread["params"]["approvalPolicy"]),
        (&json!("gpt-6-sol"), &json!("untrusted"))
    );
    assert_eq!(opened[1]["method"], "thread/goal/get");
    assert_eq!(config(&full)["model_reasoning_effort"].as_str(), Some("max"));
    let turn = opening(&LaunchRequest { resume: false, ..full });
    assert_eq!(turn[1]["params"]["effort"], "max");
    assert_eq!(turn[1]["params"]["collaborationMode"]["mode"], "plan");
}

#[test]
fn edits_are_asked_accepted_or_declined_by_the_mode() {
    let asked =
        json!({"id": 4, "method": "item/fileChange/requestApproval", "params": {"itemId": "i"}}).to_string();
    for (permission, decision) in [
        (PermissionMode::Default, None),
        (PermissionMode::AcceptEdits, Some("accept")),
        (PermissionMode::Plan, Some("decline")),
    ] {
        let request = LaunchRequest { permission, ..request() };
        assert_eq!(opening(&request)[0]["params"]["approvalPolicy"], "untrusted");
        let events = codec(&request).decode_line(&asked);
        match decision {
            Some(decision) => assert_eq!(sent(&events), [json!({"id": 4, "result": {"decision": decision}})]),
            None => assert!(matches!(&events[..], [HarnessEvent::Request { .. }]), "{events:?}"),
        }
    }
}

#[test]
fn a_foreign_model_and_an_effort_that_it_does_not_take_are_refused() {
    for (model, effort, field) in
        [("claude-sonnet-4-5", None, "model"), ("gpt-5.5", Some(Effort::Max), "effort")]
    {
        let wrong = LaunchRequest { model: Some(model.to_owned()), effort, ..request() };
        let error = find("codex").unwrap().plan(&wrong).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::ModelMismatch, Some(field)));
    }
    let Err(error) = find("codex").unwrap().plan(&LaunchRequest { model: Some(String::new()), ..request() })
    else {
        panic!("an empty model passes")
    };
    assert_eq!(error.code, ErrorCode::ModelMismatch);
}
