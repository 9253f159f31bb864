//! Claude Code.

use sandboxed_testkit::cli::Cli;

use super::{STUB, Subject};

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
    model: "claude-sonnet-4-5",
    foreign_model: "gpt-5",
    context_file: "CLAUDE.md",
    strays: &[],
    differences: &[],
};
