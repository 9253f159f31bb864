//! What the agents that speak ACP are started with: argv, environment, files and the codec's state as values.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;

use sandboxed_domain::api::{Effort, ErrorCode, PermissionMode};
use sandboxed_domain::harness::{LaunchPlan, LaunchRequest, McpServer, StdinMode, find};
use serde_json::{Value, json};

const SECRET: &str = "sk-s3cret";

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn request(program: &[&str], credentials: &[(&str, &str)]) -> LaunchRequest {
    LaunchRequest {
        program: program.iter().map(|part| (*part).to_owned()).collect(),
        cwd: "/work/tree".to_owned(),
        mission_dir: "/missions/m1".to_owned(),
        session_id: "s-1".to_owned(),
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
        credentials: vars(credentials),
        env: vars(&[("MY", "1"), ("HOME", "/root"), ("PATH", "/my/bin")]),
        login: Vec::new(),
        command: Vec::new(),
        prompt: String::new(),
    }
}

fn plan(harness: &str, request: &LaunchRequest) -> LaunchPlan {
    let plan = find(harness).unwrap().plan(request).unwrap();
    assert_eq!((plan.stdin, plan.stdout_is_protocol), (StdinMode::Protocol, true));
    assert_eq!(plan.cwd, "/work/tree");
    assert_eq!(
        (plan.env["HOME"].as_str(), plan.env["TMPDIR"].as_str()),
        ("/missions/m1", "/missions/m1/tmp")
    );
    assert_eq!((plan.env["MY"].as_str(), plan.env["PATH"].as_str()), ("1", "/my/bin"));
    for file in &plan.files {
        assert!(file.path.starts_with("/missions/m1/"), "{}", file.path);
        assert_eq!((file.mode, file.keep_existing), (0o600, false), "{}", file.path);
    }
    plan
}

fn file<'a>(plan: &'a LaunchPlan, path: &str) -> &'a str {
    &plan.files.iter().find(|file| file.path == format!("/missions/m1/{path}")).unwrap().content
}

/// Environment of the MCP server in the codec's state.
fn server_env(plan: &LaunchPlan) -> BTreeMap<String, String> {
    let server = &plan.codec["setup"]["mcp_servers"][0];
    assert_eq!(
        (&server["name"], &server["command"], &server["args"]),
        (&json!("orchestrator"), &json!("/opt/bin/mcp"), &json!(["--worker"]))
    );
    let pairs = server["env"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    pairs.map(|pair| (text(&pair["name"]), text(&pair["value"]))).collect()
}

const GROK: &[&str] = &["/opt/harness/grok"];
const GROK_KEY: &[(&str, &str)] = &[("XAI_API_KEY", SECRET), ("OTHER_SECRET", "x")];

#[test]
fn grok_is_started_as_an_agent_of_its_own() {
    let plan = plan("grok", &request(GROK, GROK_KEY));
    assert_eq!(plan.argv.join(" "), "/opt/harness/grok agent --no-leader --always-approve stdio");
    for (name, value) in
        [("GROK_HOME", "/missions/m1/.grok"), ("GROK_FOLDER_TRUST", "0"), ("GROK_TURN_TRANSIENT_RETRY", "0")]
    {
        assert_eq!(plan.env[name], value, "{name}");
    }
    for absent in ["OTHER_SECRET", "GROK_XAI_API_BASE_URL", "GROK_CODE_XAI_API_KEY", "XAI_API_KEY"] {
        assert!(!plan.env.contains_key(absent), "{absent}");
    }
    let key: Value = serde_json::from_str(plan.key.as_deref().unwrap()).unwrap();
    assert_eq!(
        (&key["xai::api_key"]["key"], &key["xai::api_key"]["auth_mode"]),
        (&json!(SECRET), &json!("api_key"))
    );
    assert_eq!(file(&plan, ".grok/AGENTS.md"), "# You are a worker\n");
    let config = file(&plan, ".grok/config.toml");
    for line in [
        "auto_update = false",
        "auto_background_on_timeout = false",
        "telemetry = \"off\"",
        "allow = [\"MCPTool(orchestrator__*)\"]",
    ] {
        assert!(config.contains(line), "{line} is missing in {config}");
    }
    assert_eq!(plan.codec["setup"]["auth"], "xai.api_key");
    assert_eq!(plan.codec["setup"]["session"], "new");
    assert_eq!(
        server_env(&plan),
        vars(&[("SOCKET", "/run/s"), ("XAI_API_KEY", ""), ("GROK_CODE_XAI_API_KEY", "")])
    );
}

#[test]
fn grok_resumes_with_model_effort_and_mode_when_given() {
    let resumed = LaunchRequest {
        resume: true,
        model: Some("grok-4.6".to_owned()),
        effort: Some(Effort::Xhigh),
        permission: PermissionMode::AcceptEdits,
        ..request(GROK, GROK_KEY)
    };
    let plan = plan("grok", &resumed);
    assert_eq!(
        plan.argv.join(" "),
        "/opt/harness/grok agent --no-leader --model grok-4.6 --reasoning-effort xhigh stdio"
    );
    assert_eq!(plan.codec["setup"]["session"], json!({"resume": "s-1"}));
    assert!(file(&plan, ".grok/config.toml").contains("allow = [\"MCPTool(orchestrator__*)\", \"Edit\"]"));
    let asking = LaunchRequest { permission: PermissionMode::Default, ..resumed };
    let plan = self::plan("grok", &asking);
    assert!(!plan.argv.contains(&"--always-approve".to_owned()));
    assert!(!file(&plan, ".grok/config.toml").contains("Edit"));
}

const GEMINI: &[&str] = &["/opt/harness/node", "/opt/harness/gemini/bundle/gemini.js"];
const GEMINI_KEY: &[(&str, &str)] = &[("GEMINI_API_KEY", SECRET), ("OTHER_SECRET", "x")];

#[test]
fn gemini_is_started_by_its_interpreter_in_a_home_of_its_own() {
    let plan = plan("gemini", &request(GEMINI, GEMINI_KEY));
    assert_eq!(plan.argv.join(" "), format!("{} --acp --approval-mode yolo", GEMINI.join(" ")));
    for (name, value) in [
        ("GEMINI_CLI_HOME", "/missions/m1"),
        ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
        ("GEMINI_CLI_NO_RELAUNCH", "true"),
        ("GEMINI_API_KEY", SECRET),
    ] {
        assert_eq!(plan.env[name], value, "{name}");
    }
    for absent in ["OTHER_SECRET", "GOOGLE_GEMINI_BASE_URL"] {
        assert!(!plan.env.contains_key(absent), "{absent}");
    }
    assert_eq!(file(&plan, ".gemini/GEMINI.md"), "# You are a worker\n");
    let settings: Value = serde_json::from_str(file(&plan, ".gemini/settings.json")).unwrap();
    for (pointer, value) in [
        ("/security/auth/selectedType", json!("gemini-api-key")),
        ("/privacy/usageStatisticsEnabled", json!(false)),
        ("/general/enableAutoUpdate", json!(false)),
        ("/general/maxAttempts", json!(2)),
        ("/general/sessionRetention/enabled", json!(false)),
    ] {
        assert_eq!(settings.pointer(pointer), Some(&value), "{pointer}");
    }
    let rule =
        "[[rule]]\nmcpName = \"orchestrator\"\ntoolName = \"*\"\ndecision = \"allow\"\npriority = 999\n";
    assert_eq!(file(&plan, ".gemini/policies/sandboxed-sh.toml"), rule);
    assert_eq!(plan.codec["setup"]["auth"], "gemini-api-key");
    assert_eq!(plan.codec["setup"]["session"], "new");
    assert_eq!(server_env(&plan), vars(&[("SOCKET", "/run/s"), ("GEMINI_API_KEY", "")]));
}

#[test]
fn gemini_resumes_with_model_and_mode_when_given() {
    for (permission, mode) in [
        (PermissionMode::Bypass, "yolo"),
        (PermissionMode::AcceptEdits, "auto_edit"),
        (PermissionMode::Default, "default"),
    ] {
        let resumed = LaunchRequest {
            resume: true,
            model: Some("gemini-2.5-pro".to_owned()),
            permission,
            ..request(GEMINI, GEMINI_KEY)
        };
        let plan = plan("gemini", &resumed);
        assert_eq!(plan.argv[2..].join(" "), format!("--acp --approval-mode {mode} --model gemini-2.5-pro"));
        assert_eq!(plan.codec["setup"]["session"], json!({"resume": "s-1"}));
    }
}

const OPENCODE: &[&str] = &["/opt/harness/opencode"];
const OPENCODE_KEY: &[(&str, &str)] =
    &[("OPENAI_API_KEY", SECRET), ("OPENAI_BASE_URL", "http://proxy/v1"), ("OTHER_SECRET", "x")];

#[test]
fn opencode_gets_its_providers_by_configuration_and_its_keys_by_environment() {
    let plan = plan("opencode", &request(OPENCODE, OPENCODE_KEY));
    assert_eq!(plan.argv.join(" "), "/opt/harness/opencode acp");
    for (name, value) in [
        ("XDG_CONFIG_HOME", "/missions/m1/.config"),
        ("OPENAI_API_KEY", SECRET),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1"),
        (
            "OPENCODE_PERMISSION",
            r#"{"*":"allow","external_directory":"allow","doom_loop":"allow","read":"allow"}"#,
        ),
    ] {
        assert_eq!(plan.env[name], value, "{name}");
    }
    for absent in ["OTHER_SECRET", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL"] {
        assert!(!plan.env.contains_key(absent), "{absent}");
    }
    assert!(plan.directories.contains(&"/missions/m1/.config/opencode/node_modules".to_owned()));
    assert_eq!(file(&plan, ".config/opencode/AGENTS.md"), "# You are a worker\n");
    assert!(file(&plan, ".config/opencode/package-lock.json").contains("\"@opencode-ai/plugin\""));
    assert!(file(&plan, ".config/opencode/plugin/sandboxed-sh.js").contains("delete process.env"));
    let config: Value = serde_json::from_str(file(&plan, ".config/opencode/opencode.json")).unwrap();
    for (pointer, value) in [
        ("/autoupdate", json!(false)),
        ("/share", json!("disabled")),
        ("/enabled_providers", json!(["openai"])),
        ("/provider", json!({"openai": {"options": {"baseURL": "http://proxy/v1"}}})),
        ("/experimental/continue_loop_on_deny", json!(true)),
    ] {
        assert_eq!(config.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(config["model"], "openai/gpt-5.5", "without one it would choose by the order of its list");
    assert_eq!(plan.codec["setup"]["settings"], json!([]));
    let blank = [("SOCKET", "/run/s"), ("ANTHROPIC_API_KEY", ""), ("OPENAI_API_KEY", "")];
    assert_eq!(server_env(&plan), vars(&blank));
    assert!(!format!("{:?} {}", plan.files, plan.codec).contains(SECRET));
}

#[test]
fn opencode_takes_the_model_of_a_profile_before_its_default() {
    let named = LaunchRequest {
        settings: Some(("opencode/opencode.json".to_owned(), r#"{"model": "openai/gpt-5.4"}"#.to_owned())),
        ..request(OPENCODE, OPENCODE_KEY)
    };
    let model = |request: &LaunchRequest| {
        let plan = plan("opencode", request);
        serde_json::from_str::<Value>(file(&plan, ".config/opencode/opencode.json")).unwrap()["model"].clone()
    };
    assert_eq!(model(&named), "openai/gpt-5.4");
    let login_only = LaunchRequest { credentials: vars(&[]), ..named };
    assert_eq!(
        model(&LaunchRequest { settings: None, ..login_only }),
        Value::Null,
        "a login's provider is not known"
    );
}

#[test]
fn opencode_resumes_with_model_effort_and_mode_when_given() {
    let resumed = LaunchRequest {
        resume: true,
        model: Some("anthropic/claude-next".to_owned()),
        effort: Some(Effort::High),
        permission: PermissionMode::AcceptEdits,
        ..request(OPENCODE, &[("ANTHROPIC_API_KEY", SECRET), ("ANTHROPIC_BASE_URL", "http://proxy/")])
    };
    let plan = plan("opencode", &resumed);
    assert_eq!(plan.codec["setup"]["session"], json!({"resume": "s-1"}));
    assert_eq!(
        plan.codec["setup"]["settings"],
        json!([
            {"option": {"id": "model", "value": "anthropic/claude-next"}},
            {"option": {"id": "effort", "value": "high"}},
        ])
    );
    let config: Value = serde_json::from_str(file(&plan, ".config/opencode/opencode.json")).unwrap();
    let known = json!({"options": {"baseURL": "http://proxy/v1"}, "models": {"claude-next": {}}});
    assert_eq!(config["provider"], json!({"anthropic": known}));
    assert_eq!(config["model"], "anthropic/claude-next");
    let rules: Value = serde_json::from_str(&plan.env["OPENCODE_PERMISSION"]).unwrap();
    assert_eq!(rules.as_object().unwrap().keys().next().unwrap(), "*", "the last that matches counts");
    for (tool, rule) in
        [("*", "ask"), ("read", "allow"), ("orchestrator_*", "allow"), ("edit", "allow"), ("task", "deny")]
    {
        assert_eq!(rules[tool], rule, "{tool}");
    }
    let asking = LaunchRequest { permission: PermissionMode::Default, ..resumed };
    assert!(!self::plan("opencode", &asking).env["OPENCODE_PERMISSION"].contains("edit"));
}

/// What the host may give each.
const VARIABLES: &[(&str, &[&str], &[&str])] = &[
    (
        "opencode",
        OPENCODE,
        &[
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "ANTHROPIC_BASE_URL",
            "OPENAI_BASE_URL",
            "OPENCODE_MAX_RETRIES",
        ],
    ),
    ("gemini", GEMINI, &["GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"]),
    ("grok", GROK, &["XAI_API_KEY", "GROK_CODE_XAI_API_KEY", "GROK_XAI_API_BASE_URL", "GROK_MAX_RETRIES"]),
];

#[test]
fn a_worker_can_neither_add_nor_redirect_credentials() {
    for (harness, program, variables) in VARIABLES {
        let env: Vec<_> = variables.iter().map(|name| (*name, "http://evil")).collect();
        let plan = plan(
            harness,
            &LaunchRequest {
                env: vars(&[&env[..], &[("MY", "1"), ("PATH", "/my/bin")]].concat()),
                ..request(program, &[])
            },
        );
        for name in *variables {
            assert!(!plan.env.contains_key(*name), "{harness}: {name}");
        }
    }
}

/// Their plan mode, if there is one, does not do what the mode says.
const WITHOUT_PLAN: &[&str] = &["opencode", "gemini", "grok"];

#[test]
fn what_an_agent_does_not_have_is_refused() {
    let foreign =
        [("grok", "gpt-5"), ("grok", "gemini-2.5-pro"), ("gemini", "grok-4.6"), ("opencode", "gpt-5.5")];
    for (harness, model) in foreign {
        let request = LaunchRequest { model: Some(model.to_owned()), ..request(&["x"], &[]) };
        let error = find(harness).unwrap().plan(&request).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::ModelMismatch, Some("model")));
    }
    for harness in WITHOUT_PLAN {
        assert!(!find(harness).unwrap().permission_modes().contains(&PermissionMode::Plan), "{harness}");
        let request = LaunchRequest { permission: PermissionMode::Plan, ..request(&["x"], &[]) };
        let error = find(harness).unwrap().plan(&request).unwrap_err();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (ErrorCode::NotAvailable, Some("permission_mode")),
            "{harness}"
        );
    }
}

#[test]
fn opencode_has_a_default_for_a_login_that_it_knows_and_tells_the_model_otherwise() {
    let login = |providers: &[&str]| LaunchRequest {
        login: providers.iter().map(|id| (*id).to_owned()).collect(),
        ..request(&["/opt/harness/opencode"], &[])
    };
    let table = [
        (login(&["mistral", "openai"]), Some("openai/gpt-5.5")),
        (login(&["anthropic", "openai"]), Some("anthropic/claude-sonnet-5")),
        (login(&["mistral"]), None),
        (LaunchRequest { model: Some("mistral/m".to_owned()), ..login(&["mistral"]) }, Some("mistral/m")),
    ];
    for (request, model) in table {
        let plan = plan("opencode", &request);
        let config: Value = serde_json::from_str(file(&plan, ".config/opencode/opencode.json")).unwrap();
        assert_eq!(config["model"].as_str(), model, "{:?}", request.login);
        assert_eq!(plan.codec["setup"]["unnamed_model"], model.is_none(), "{:?}", request.login);
    }
}
