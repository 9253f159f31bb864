//! Gemini CLI.

use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::{ErrorReply, Limit};
use serde_json::{Value, json};

use super::login::tomorrow;
use super::subject::retry_after;
use super::{Behaviour, STUB, Subject, ToldLimit, UserLogin};

pub const GEMINI: Subject = Subject {
    id: "gemini",
    title: "Gemini CLI",
    programs: &[("GEMINI_CLI_PATH", Cli::Gemini), ("NODE_CLI_PATH", Cli::Node)],
    key_variable: "GEMINI_API_KEY",
    key: "sk-test-gemini-7e57ab1e5ec2e7f00dcafe",
    settings: &[("GOOGLE_GEMINI_BASE_URL", STUB)],
    shell: "run_shell_command",
    report: "mcp_orchestrator_report_outcome",
    default_model: "",
    limit: ToldLimit {
        credential: ("GEMINI_API_KEY", "sk-test-gemini-7e57ab1e5ec2e7f00dcafe"),
        refusal: minute_limit,
    },
    login: UserLogin {
        file: ".gemini/oauth_creds.json",
        content: login,
        environment: &[("CODE_ASSIST_ENDPOINT", STUB)],
        preload: Some(include_str!("google.cjs")),
    },
    model: "gemini-2.5-pro",
    foreign_model: "gpt-5",
    context_file: "GEMINI.md",
    strays: &[],
    differences: &[
        (Behaviour::ToolFailure, "tells a failed command like any other, with what it printed"),
        (Behaviour::LimitEnd, "does not tell when a limit ends, so the platform's own pauses count"),
        (Behaviour::Cost, "tells tokens only, no cost"),
        (Behaviour::DenialReason, "its protocol has no place for a reason"),
        (Behaviour::Question, "offers the model no way to ask"),
    ],
};

/// Of requests in a minute, whose end stands in the body.
fn minute_limit(until: i64) -> ErrorReply {
    ErrorReply { limit: Some(Limit::Rate), ..retry_after(until) }
}

/// A Google account.
fn login(secret: &str) -> Value {
    json!({
        "access_token": format!("ya29.{secret}"), "refresh_token": format!("1//{secret}"), "token_type": "Bearer",
        "scope": "openid", "expiry_date": tomorrow().timestamp_millis(),
    })
}
