//! Grok Build.

use sandboxed_testkit::cli::Cli;
use serde_json::{Value, json};

use super::login::tomorrow;
use super::subject::retry_after;
use super::{Behaviour, Subject, ToldLimit, UserLogin};

pub const GROK: Subject = Subject {
    id: "grok",
    title: "Grok",
    programs: &[("GROK_CLI_PATH", Cli::Grok)],
    key_variable: "XAI_API_KEY",
    key: "sk-test-grok-7e57ab1e5ec2e7f00dcafe",
    settings: &[("GROK_XAI_API_BASE_URL", "{stub}/v1"), ("GROK_MAX_RETRIES", "2")],
    shell: "run_terminal_command",
    report: "orchestrator__report_outcome",
    default_model: "",
    limit: ToldLimit {
        credential: ("XAI_API_KEY", "sk-test-grok-7e57ab1e5ec2e7f00dcafe"),
        refusal: retry_after,
    },
    login: UserLogin {
        file: ".grok/auth.json",
        content: login,
        environment: &[
            ("GROK_OAUTH2_ISSUER", "https://auth.x.ai"),
            ("GROK_OAUTH2_CLIENT_ID", "stub"),
            ("GROK_CLI_CHAT_PROXY_BASE_URL", "{stub}/v1"),
        ],
        preload: None,
    },
    model: "grok-4.6",
    foreign_model: "gpt-5.5",
    context_file: "AGENTS.md",
    // It looks who the key belongs to, warms up its connection, and with a login it looks for what the account has.
    strays: &["GET /v1/api-key", "GET /", "GET /v1/bundle/archive", "GET /v1/subagents/bundle"],
    differences: &[
        (Behaviour::Cost, "tells tokens only, no cost"),
        (Behaviour::LimitEnd, "does not tell when a limit ends, so the platform's own pauses count"),
    ],
};

/// An entry of the issuer and client that the environment names.
fn login(secret: &str) -> Value {
    json!({"https://auth.x.ai::stub": {
        "key": secret, "refresh_token": format!("r-{secret}"), "user_id": "user-1", "email": "me@example.com",
        "auth_mode": "oidc", "oidc_issuer": "https://auth.x.ai", "oidc_client_id": "stub",
        "create_time": chrono::Utc::now().to_rfc3339(), "expires_at": tomorrow().to_rfc3339(),
    }})
}
