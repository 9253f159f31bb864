//! What each harness is started with: argv, environment and files as values.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;

use sandboxed_domain::api::{Effort, ErrorCode};
use sandboxed_domain::harness::{
    Codec, FailureClass, HarnessEvent, LaunchRequest, McpServer, PermissionMode, StdinMode, find, registry,
};
use serde_json::Value;

const SESSION: &str = "11111111-1111-4111-8111-111111111111";
const SECRET: &str = "sk-s3cret";

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn request() -> LaunchRequest {
    LaunchRequest {
        program: vec!["/opt/harness/claude".to_owned()],
        cwd: "/work/tree".to_owned(),
        mission_dir: "/missions/m1".to_owned(),
        session_id: SESSION.to_owned(),
        resume: false,
        model: None,
        effort: None,
        permission: PermissionMode::Bypass,
        library_servers: Vec::new(),
        settings: None,
        mcp_servers: vec![McpServer {
            name: "orchestrator".to_owned(),
            command: "/opt/bin/mcp".to_owned(),
            args: vec!["--worker".to_owned()],
            env: vars(&[("SOCKET", "/run/s")]),
        }],
        instructions: "# You are a worker\n".to_owned(),
        credentials: vars(&[
            ("ANTHROPIC_API_KEY", SECRET),
            ("GEMINI_API_KEY", SECRET),
            ("OPENAI_API_KEY", SECRET),
            ("XAI_API_KEY", SECRET),
            ("OTHER_SECRET", "x"),
        ]),
        env: vars(&[
            ("MY", "1"),
            ("HOME", "/root"),
            ("PATH", "/my/bin"),
            ("ANTHROPIC_BASE_URL", "http://evil"),
        ]),
        login: Vec::new(),
        command: Vec::new(),
        prompt: "echo hi".to_owned(),
    }
}

#[test]
fn claude_is_started_for_the_protocol_both_ways() {
    let plan = find("claudecode").unwrap().plan(&request()).unwrap();
    assert_eq!(
        plan.argv.join(" "),
        "/opt/harness/claude --print --input-format stream-json --output-format stream-json --verbose \
         --include-partial-messages --permission-prompt-tool stdio --permission-mode bypassPermissions \
         --session-id 11111111-1111-4111-8111-111111111111 --settings /missions/m1/.claude/settings.local.json \
         --strict-mcp-config --mcp-config /missions/m1/.claude/mcp.json"
    );
    assert_eq!((plan.stdin, plan.stdout_is_protocol), (StdinMode::Protocol, true));
    assert_eq!(plan.cwd, "/work/tree");
    assert_eq!(plan.directories, ["/missions/m1/.claude", "/missions/m1/tmp"]);
}

#[test]
fn claude_resumes_with_model_effort_and_mode_when_given() {
    let resumed = LaunchRequest {
        resume: true,
        model: Some("sonnet".to_owned()),
        effort: Some(Effort::Xhigh),
        permission: PermissionMode::Plan,
        ..request()
    };
    let argv = find("claudecode").unwrap().plan(&resumed).unwrap().argv.join(" ");
    for wanted in [
        "--resume 11111111-1111-4111-8111-111111111111",
        "--model sonnet",
        "--effort xhigh",
        "--permission-mode plan",
    ] {
        assert!(argv.contains(wanted), "{wanted} is missing in {argv}");
    }
    assert!(!argv.contains("--session-id"));
}

#[test]
fn claude_gets_its_home_and_credentials_whatever_the_worker_asks_for() {
    let env = find("claudecode").unwrap().plan(&request()).unwrap().env;
    for (name, value) in [
        ("HOME", "/missions/m1"),
        ("CLAUDE_CONFIG_DIR", "/missions/m1/.claude"),
        ("TMPDIR", "/missions/m1/tmp"),
        ("IS_SANDBOX", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("ENABLE_TOOL_SEARCH", "false"),
        ("ANTHROPIC_API_KEY", SECRET),
        ("MY", "1"),
        ("PATH", "/my/bin"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    for absent in ["ANTHROPIC_BASE_URL", "OTHER_SECRET"] {
        assert!(!env.contains_key(absent), "{absent}");
    }
}

#[test]
fn claude_writes_only_private_files_of_the_mission() {
    let plan = find("claudecode").unwrap().plan(&request()).unwrap();
    let file = |name: &str| {
        let path = format!("/missions/m1/.claude/{name}");
        let file = plan.files.iter().find(|file| file.path == path).unwrap();
        assert_eq!((file.mode, file.keep_existing), (0o600, false));
        file.content.as_str()
    };
    assert_eq!(plan.files.len(), 4);
    assert_eq!(file("CLAUDE.md"), "# You are a worker\n");
    let settings: Value = serde_json::from_str(file("settings.local.json")).unwrap();
    assert_eq!(settings["permissions"]["allow"][0], "mcp__orchestrator");
    let mcp: Value = serde_json::from_str(file("mcp.json")).unwrap();
    let server = &mcp["mcpServers"]["orchestrator"];
    assert_eq!((&server["command"], &server["args"][0]), (&"/opt/bin/mcp".into(), &"--worker".into()));
    assert_eq!(server["env"]["SOCKET"], "/run/s");
    // The server would inherit the key otherwise.
    assert_eq!(server["env"]["ANTHROPIC_API_KEY"], "");
}

/// These hand their environment to the commands of their shell tool.
#[test]
fn every_command_forgets_the_keys_and_then_reads_what_the_worker_wants_read() {
    let table = [
        ("claudecode", "CLAUDE_ENV_FILE", "ANTHROPIC_API_KEY CLAUDE_CODE_OAUTH_TOKEN"),
        ("gemini", "BASH_ENV", "GEMINI_API_KEY"),
    ];
    for (harness, reader, names) in table {
        let of = |request: &LaunchRequest| {
            let plan = find(harness).unwrap().plan(request).unwrap();
            let path = plan.env[reader].clone();
            plan.files.into_iter().find(|file| file.path == path).unwrap().content.to_string()
        };
        assert_eq!(of(&request()), format!("unset {names}\n"));
        let mut own = request();
        own.env.insert(reader.to_owned(), "/it's/mine".to_owned());
        assert_eq!(of(&own), format!("unset {names}\n. '/it'\\''s/mine'\n"));
    }
}

#[test]
fn no_plan_has_a_secret_in_argv_or_files() {
    for harness in registry() {
        let plan = harness.plan(&request()).unwrap();
        assert!(!plan.argv.join(" ").contains(SECRET), "{}", harness.id());
        assert!(plan.files.iter().all(|file| !file.content.contains(SECRET)), "{}", harness.id());
        assert!(!plan.codec.to_string().contains(SECRET), "{}", harness.id());
    }
}

#[test]
fn a_session_id_that_is_no_uuid_and_a_foreign_model_are_refused() {
    let harness = find("claudecode").unwrap();
    let bad = LaunchRequest { session_id: "s1".to_owned(), ..request() };
    assert_eq!(harness.plan(&bad).unwrap_err().field.as_deref(), Some("session_id"));
    let foreign = LaunchRequest { model: Some("gpt-5".to_owned()), ..request() };
    assert_eq!(harness.plan(&foreign).unwrap_err().code, ErrorCode::ModelMismatch);
}

#[test]
fn a_command_is_its_argv_or_a_script() {
    let harness = find("command").unwrap();
    let script = harness.plan(&request()).unwrap();
    assert_eq!(script.argv, ["sh", "-c", "echo hi"]);
    assert_eq!((script.stdin, script.stdout_is_protocol), (StdinMode::Null, false));
    assert!(!script.env.contains_key("ANTHROPIC_API_KEY"));
    assert_eq!(script.env["HOME"], "/missions/m1");
    let argv = LaunchRequest { command: vec!["make".to_owned(), "all".to_owned()], ..request() };
    assert_eq!(harness.plan(&argv).unwrap().argv, ["make", "all"]);
}

#[test]
fn a_script_too_long_for_an_argument_becomes_a_file() {
    let long = LaunchRequest { prompt: "#".repeat(200_000), ..request() };
    let plan = find("command").unwrap().plan(&long).unwrap();
    assert_eq!(plan.argv, ["sh", "/missions/m1/script.sh"]);
    assert_eq!(plan.files[0].content.len(), 200_000);
}

fn command_codec() -> Box<dyn Codec + Send> {
    find("command").unwrap().codec()
}

#[test]
fn a_command_succeeds_by_its_exit_status_alone() {
    for (code, signal, success, message) in [
        (Some(0), None, true, "one\ntwo"),
        (Some(3), None, false, "exited with status 3\none\ntwo"),
        (None, Some(9), false, "was ended by signal 9\none\ntwo"),
        (None, None, false, "ended without a status\none\ntwo"),
    ] {
        let mut codec = command_codec();
        assert_eq!(
            codec.decode_lines(&["one", "two"]),
            [HarnessEvent::TextDelta { content: "one\ntwo\n".to_owned() }]
        );
        let stored = codec.snapshot();
        let mut codec = command_codec();
        codec.restore(stored);
        let events = codec.finish(code, signal);
        let [HarnessEvent::TurnEnded { success: ok, failure, message: said, .. }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((*ok, said.as_str()), (success, message));
        assert_eq!(*failure, (!success).then_some(FailureClass::Harness));
        assert_eq!(codec.finish(code, signal), []);
    }
}

#[test]
fn a_command_that_floods_keeps_a_small_state_and_the_end_of_its_output() {
    let mut codec = command_codec();
    let line = "ä".repeat(100_000);
    for _ in 0..3 {
        codec.decode_line(&line);
    }
    codec.decode_line("the end");
    assert!(codec.snapshot().to_string().len() < 3000);
    let Some(HarnessEvent::TurnEnded { message, .. }) = codec.finish(Some(0), None).pop() else { panic!() };
    assert!(message.ends_with("the end") && message.len() <= 2048);
}

#[test]
fn a_command_takes_no_messages() {
    let mut codec = command_codec();
    assert_eq!(codec.encode_user_message("1", "x"), None);
    assert_eq!(codec.encode_interrupt("1"), None);
}
