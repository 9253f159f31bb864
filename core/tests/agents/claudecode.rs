//! Claude Code.

use sandboxed_testkit::cli::Cli;
use serde_json::{Value, json};

use super::login::tomorrow;
use super::{STUB, Subject, UserLogin};

pub const CLAUDECODE: Subject = Subject {
    id: "claudecode",
    title: "Claude Code",
    programs: &[("CLAUDE_CLI_PATH", Cli::Claude)],
    key_variable: "ANTHROPIC_API_KEY",
    key: "sk-test-claude-7e57ab1e5ec2e7f00dcafe",
    settings: &[("ANTHROPIC_BASE_URL", STUB), ("CLAUDE_CODE_MAX_RETRIES", "1")],
    shell: "Bash",
    report: "mcp__orchestrator__report_outcome",
    default_model: "",
    login: UserLogin { file: ".claude/.credentials.json", content: login, environment: &[], preload: None },
    model: "claude-sonnet-4-5",
    foreign_model: "gpt-5",
    context_file: "CLAUDE.md",
    strays: &[],
    differences: &[],
};

fn login(secret: &str) -> Value {
    json!({"claudeAiOauth": {
        "accessToken": format!("sk-ant-oat01-{secret}"), "refreshToken": format!("sk-ant-ort01-{secret}"),
        "expiresAt": tomorrow().timestamp_millis(), "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }})
}
