//! Codex.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::{ErrorReply, Limit};
use serde_json::{Value, json};

use super::login::tomorrow;
use super::{Behaviour, Subject, ToldLimit, UserLogin};

pub const CODEX: Subject = Subject {
    id: "codex",
    title: "Codex",
    programs: &[("CODEX_CLI_PATH", Cli::Codex)],
    key_variable: "OPENAI_API_KEY",
    key: "sk-test-codex-7e57ab1e5ec2e7f00dcafe",
    settings: &[("OPENAI_BASE_URL", "{stub}/v1")],
    shell: "exec_command",
    report: "mcp__orchestrator__report_outcome",
    default_model: "",
    limit: ToldLimit {
        credential: ("OPENAI_API_KEY", "sk-test-codex-7e57ab1e5ec2e7f00dcafe"),
        refusal: usage_limit,
    },
    login: UserLogin { file: ".codex/auth.json", content: login, environment: &[], preload: None },
    model: "gpt-5.5",
    foreign_model: "claude-sonnet-4-5",
    context_file: "AGENTS.md",
    strays: &[],
    differences: &[(Behaviour::Cost, "tells tokens only, no cost")],
};

fn usage_limit(until: i64) -> ErrorReply {
    let resets_at = u64::try_from(until).ok();
    ErrorReply { limit: Some(Limit::Usage), resets_at, ..ErrorReply::default() }
}

/// A ChatGPT account.
fn login(secret: &str) -> Value {
    let claims = json!({
        "exp": tomorrow().timestamp(), "email": "me@example.com",
        "https://api.openai.com/auth": {"chatgpt_account_id": "account-1", "chatgpt_plan_type": "pro"},
    });
    let token = format!("e30.{}.{secret}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": chrono::Utc::now().to_rfc3339(),
        "tokens": {"id_token": token, "access_token": token, "refresh_token": secret, "account_id": "account-1"},
    })
}
