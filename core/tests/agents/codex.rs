//! Codex.

use sandboxed_testkit::cli::Cli;

use super::{Behaviour, Subject};

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
    model: "gpt-5.5",
    foreign_model: "claude-sonnet-4-5",
    context_file: "AGENTS.md",
    strays: &[],
    differences: &[(Behaviour::Cost, "tells tokens only, no cost")],
};
