//! Claude Code.

use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::ErrorReply;
use serde_json::{Value, json};

use super::login::tomorrow;
use super::{STUB, Subject, ToldLimit, UserLogin};

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
    // A subscription: of a key's limits it tells no end.
    limit: ToldLimit {
        credential: ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-test-7e57ab1e5ec2e7"),
        refusal: usage_limit,
    },
    login: UserLogin { file: ".claude/.credentials.json", content: login, environment: &[], preload: None },
    model: "claude-sonnet-4-5",
    foreign_model: "gpt-5",
    context_file: "CLAUDE.md",
    strays: &[],
    differences: &[],
};

fn usage_limit(until: i64) -> ErrorReply {
    let headers = [
        ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
        ("anthropic-ratelimit-unified-reset", until.to_string()),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour".to_owned()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
    ErrorReply { status: 429, headers, ..ErrorReply::default() }
}

fn login(secret: &str) -> Value {
    json!({"claudeAiOauth": {
        "accessToken": format!("sk-ant-oat01-{secret}"), "refreshToken": format!("sk-ant-ort01-{secret}"),
        "expiresAt": tomorrow().timestamp_millis(), "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }})
}
