//! Grok Build.

use sandboxed_testkit::cli::Cli;

use super::{Behaviour, Subject};

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
    model: "grok-4.6",
    foreign_model: "gpt-5.5",
    context_file: "AGENTS.md",
    // It looks who the key belongs to, and warms up its connection.
    strays: &["GET /v1/api-key", "GET /"],
    differences: &[(Behaviour::Cost, "tells tokens only, no cost")],
};
