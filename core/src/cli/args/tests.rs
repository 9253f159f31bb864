//! What the command line takes, and what it refuses.

use clap::{CommandFactory, Parser};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("sandboxed-sh").chain(line.split_whitespace()))
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_of_the_contract_is_there() {
    let id = "018f2d1e-0000-7000-8000-000000000000";
    let lines = [
        "serve --host 127.0.0.1 --port 3001 --no-token",
        "serve --token-file /t",
        "daemon start --port 3001 --token -",
        "daemon stop",
        "daemon status --json",
        "doctor --fix --json",
        "demo --backend claudecode --repo /r --keep",
        "smoke --backend codex --model gpt-5.5 --without thinking,usage --json",
        "connect claude --write",
        "connect codex",
        "mission create do-it --backend command --workspace w --json",
        "mission list --status active,pending --limit 5 --json",
        "mission show ID --json",
        "mission events ID --follow --json --since 3",
        "mission send ID hello",
        "mission send ID hello --into-running-turn",
        "mission cancel ID",
        "mission resume ID",
        "mission delete ID",
        "workspace create w --bind /a --bind /b --network none",
        "workspace list --json",
        "workspace show w",
        "workspace build w",
        "workspace start w",
        "workspace stop w",
        "workspace destroy w",
        "workspace destroy w --yes",
        "workspace exec w --timeout 5 -- ls -la --json",
        "workspace shell w",
        "workspace shell w --cwd /tmp -- top",
        "workspace diff w --json",
        "workspace apply w /etc/a --force",
        "backend list --json",
    ];
    for line in lines {
        assert!(parse(&line.replace("ID", id)).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "",
        "daemon",
        "daemon restart",
        "daemon start --port 0",
        "daemon start --no-token --token -",
        "daemon start --token-file /t --token -",
        "mission show not-an-id",
        "mission list --limit 201",
        "workspace exec w ls",
        "workspace exec w",
        "workspace create w --network bridge",
        "smoke",
        "smoke --backend codex --without nonsense",
        "connect gemini",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}
