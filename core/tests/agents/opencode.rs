//! OpenCode.

use sandboxed_testkit::cli::Cli;
use serde_json::{Value, json};

use super::subject::retry_after;
use super::{Behaviour, CODEX, Subject, ToldLimit, UserLogin};

pub const OPENCODE: Subject = Subject {
    id: "opencode",
    title: "OpenCode",
    programs: &[("OPENCODE_CLI_PATH", Cli::OpenCode)],
    key_variable: CODEX.key_variable,
    key: CODEX.key,
    settings: &[("OPENAI_BASE_URL", "{stub}/v1"), ("OPENCODE_MAX_RETRIES", "1")],
    shell: "bash",
    report: "orchestrator_report_outcome",
    default_model: "openai/gpt-5.5",
    limit: ToldLimit { credential: (CODEX.key_variable, CODEX.key), refusal: retry_after },
    login: UserLogin {
        file: ".local/share/opencode/auth.json",
        content: login,
        environment: &[],
        preload: None,
    },
    model: "openai/gpt-5.5",
    foreign_model: "gpt-5.5",
    context_file: "AGENTS.md",
    strays: &[],
    differences: &[
        (Behaviour::DenialReason, "its protocol has no place for a reason"),
        (Behaviour::Question, "its protocol has no place for a question"),
    ],
};

/// A key that `opencode auth login` was given: an account would be asked for at its provider's own address.
fn login(secret: &str) -> Value {
    json!({"openai": {"type": "api", "key": secret}})
}
