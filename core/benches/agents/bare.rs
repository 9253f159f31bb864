//! Each CLI alone, as a person would run it once for one answer: in a home of its own, with nothing of ours.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::StubModel;
use tokio::process::Command;
use uuid::Uuid;

use crate::PROMPT;
use crate::agents::Subject;
use crate::client::Client;
use crate::figures::Figures;
use crate::sampler::Sampler;

/// One turn of the CLI alone.
pub async fn turn(subject: &Subject, home: &Path, stub: &StubModel) -> Figures {
    let work = home.join("work");
    std::fs::create_dir_all(&work).unwrap();
    let mut command = match subject.id {
        "claudecode" => Client::Claude.command(home, stub, &[], PROMPT),
        "codex" => Client::Codex.command(home, stub, &["--skip-git-repo-check"], PROMPT),
        _ => other(subject, home, stub),
    };
    let mark = Uuid::new_v4().to_string();
    command.env("BENCH_MARK", &mark).current_dir(&work);
    let begun = Instant::now();
    let sampler = Sampler::start(format!("BENCH_MARK={mark} "));
    let output = command.output().await.unwrap();
    let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("it is"), "{}: {output:?}", subject.id);
    Figures { milliseconds, mib: sampler.stop() }
}

/// One of those that nobody needs as a client of MCP servers.
fn other(subject: &Subject, home: &Path, stub: &StubModel) -> Command {
    std::fs::create_dir_all(home.join("tmp")).unwrap();
    let mut command = match subject.id {
        "opencode" => opencode(home, &stub.base_url()),
        "gemini" => gemini(home),
        "grok" => grok(home),
        id => panic!("nobody knows how to run {id} alone"),
    };
    let environment = subject.environment(&stub.base_url());
    command
        .envs(environment.into_iter().filter(|(name, _)| !name.ends_with("_CLI_PATH")))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home)
        .env("TMPDIR", home.join("tmp"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn program(cli: Cli) -> Command {
    let mut command = Command::new(cli.path().unwrap_or_else(|missing| panic!("{missing}")));
    command.env_clear();
    command
}

fn write(home: &Path, path: &str, content: &str) {
    let path = home.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Without the lock and the empty directory it would ask npm, and wait.
fn opencode(home: &Path, stub: &str) -> Command {
    let config = format!(
        r#"{{"autoupdate":false,"share":"disabled","enabled_providers":["openai"],"model":"openai/gpt-5.5",
        "provider":{{"openai":{{"options":{{"baseURL":"{stub}/v1"}}}}}}}}"#
    );
    write(home, ".config/opencode/opencode.json", &config);
    let lock = r#"{"lockfileVersion":3,"packages":{"":{"dependencies":{"@opencode-ai/plugin":"*"}}}}"#;
    write(home, ".config/opencode/package-lock.json", lock);
    std::fs::create_dir_all(home.join(".config/opencode/node_modules")).unwrap();
    let mut command = program(Cli::OpenCode);
    command.args(["run", "--title", "bench", PROMPT]).env("OPENCODE_DISABLE_MODELS_FETCH", "1");
    command.env("OPENCODE_DISABLE_AUTOUPDATE", "1").env("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1");
    command
}

fn gemini(home: &Path) -> Command {
    let settings = r#"{"security":{"auth":{"selectedType":"gemini-api-key"}},
        "privacy":{"usageStatisticsEnabled":false},"general":{"enableAutoUpdate":false}}"#;
    write(home, ".gemini/settings.json", settings);
    let mut command = program(Cli::Node);
    let script = Cli::Gemini.path().unwrap_or_else(|missing| panic!("{missing}"));
    command.arg(script).args(["-m", "gemini-2.5-pro", "-p", PROMPT]);
    command.env("GEMINI_CLI_TRUST_WORKSPACE", "true").env("GEMINI_CLI_NO_RELAUNCH", "true");
    command
}

fn grok(home: &Path) -> Command {
    let config = "[cli]\nauto_update = false\n[features]\ntelemetry = \"off\"\nfeedback = false\nremote_fetch = false\n";
    write(home, ".grok/config.toml", config);
    let mut command = program(Cli::Grok);
    command.args(["-p", PROMPT, "--always-approve"]).env("GROK_FOLDER_TRUST", "0");
    command.env("GROK_HOME", home.join(".grok")).env("GROK_DISABLE_AUTOUPDATER", "1");
    command
}
