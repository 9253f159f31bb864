//! `sandboxed-sh smoke` with real CLIs against the stub model server: it passes where everything is as expected, and
//! fails by name where something is not.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../agents/mod.rs"]
mod agents;
#[path = "../support/mod.rs"]
mod support;

use std::process::Stdio;
use std::time::Duration;

use sandboxed_domain::smoke::GATE;
use sandboxed_testkit::stub::{Script, Step, StubModel};
use serde_json::Value;
use tokio::process::Command;

use agents::{CLAUDECODE, CODEX, GEMINI, GROK, OPENCODE, Stage, Subject};
use support::Daemon;

/// Longest smoke test.
const LONGEST: Duration = Duration::from_secs(120);

/// What a model does of which everything is as expected. No message has a tag, so this is the default scenario.
fn good() -> Vec<Step> {
    let thinking = || Some("Let me see.".to_owned());
    vec![
        Step { thinking: thinking(), text: Some("I run it.".into()), ..Step::bash(&format!("cat {GATE}")) },
        Step::text("It is {{find:word}}."),
        Step { thinking: thinking(), ..Step::text("It was {{find:word}}.") },
    ]
}

fn script(steps: Vec<Step>) -> Script {
    let mut script = Script::default();
    script.default.steps = steps;
    script
}

/// How a smoke test ended.
struct Smoke {
    exit: Option<i32>,
    out: String,
    said: String,
}

impl Smoke {
    async fn of(daemon: &Daemon, env: &[(String, String)], args: &[&str]) -> Self {
        let settings = daemon.settings();
        let mut command = Command::new(&daemon.program);
        command
            .arg("smoke")
            .args(args)
            .env("SANDBOXED_SH_DATA_DIR", &settings.data_dir)
            .env("SANDBOXED_SH_PORT", settings.port.to_string())
            .env_remove("SANDBOXED_SH_API_URL")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(daemon.root())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LONGEST, command.output()).await.expect("it ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { exit: output.status.code(), out: text(output.stdout), said: text(output.stderr) }
    }

    /// The report of `--json`.
    fn report(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}\n{}", self.out, self.said))
    }

    /// Names of the expectations with this verdict.
    fn named(&self, verdict: &str) -> Vec<String> {
        let report = self.report();
        let findings = report["expectations"].as_array().unwrap().iter();
        let named = findings.filter(|finding| finding["verdict"] == verdict);
        named.map(|finding| finding["expectation"].as_str().unwrap().to_owned()).collect()
    }
}

async fn stage(subject: &Subject, steps: Vec<Step>) -> Stage {
    Stage::new(&[subject], script(steps)).await
}

/// Neither mission nor workspace is left of it.
async fn nothing_is_left(daemon: &Daemon) {
    let missions = daemon.client().list_missions(&Default::default()).await.unwrap().missions;
    assert!(missions.is_empty(), "{missions:#?}");
    let workspaces = daemon.client().list_workspaces().await.unwrap();
    assert!(workspaces.iter().all(|workspace| !workspace.name.starts_with("smoke-")), "{workspaces:#?}");
}

async fn passes(subject: &Subject) {
    let stage = stage(subject, good()).await;
    let args = ["--backend", subject.id, "--model", subject.model, "--json"];
    let smoke = Smoke::of(&stage.daemon, &[], &args).await;
    let report = smoke.report();
    assert_eq!((smoke.exit, smoke.named("fail")), (Some(0), Vec::new()), "{report:#}\n{}", smoke.said);
    assert_eq!(smoke.named("pass").len(), 11, "{report:#}");
    assert_eq!((&report["passed"], &report["timed_out"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!((&report["backend"], &report["events"]["usage"]), (&subject.id.into(), &2.into()));
    assert_eq!(stage.answers(), ["default/0", "default/1", "default/2"]);
    nothing_is_left(&stage.daemon).await;
    stage.finish().await;
}

#[tokio::test]
async fn claude_code_is_as_expected() {
    passes(&CLAUDECODE).await;
}

#[tokio::test]
async fn codex_is_as_expected() {
    passes(&CODEX).await;
}

#[tokio::test]
async fn gemini_is_as_expected() {
    passes(&GEMINI).await;
}

#[tokio::test]
async fn opencode_is_as_expected() {
    passes(&OPENCODE).await;
}

#[tokio::test]
async fn grok_is_as_expected() {
    passes(&GROK).await;
}

#[tokio::test]
async fn what_is_not_seen_fails_by_its_name_unless_nobody_asks_for_it() {
    let steps = good().into_iter().map(|step| Step { thinking: None, ..step }).collect();
    let stage = stage(&CODEX, steps).await;
    let smoke = Smoke::of(&stage.daemon, &[], &["--backend", "codex"]).await;
    assert_eq!(smoke.exit, Some(1), "{}\n{}", smoke.out, smoke.said);
    let failed: Vec<&str> = smoke.out.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(matches!(failed.as_slice(), [line] if line.contains("thinking")), "{}", smoke.out);
    assert!(smoke.out.lines().last().unwrap().starts_with("codex: 1 not as expected"), "{}", smoke.out);
    let args = ["--backend", "codex", "--without", "thinking", "--json"];
    let smoke = Smoke::of(&stage.daemon, &[], &args).await;
    assert_eq!((smoke.exit, smoke.named("skipped")), (Some(0), vec!["thinking".to_owned()]), "{}", smoke.out);
    nothing_is_left(&stage.daemon).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_model_that_does_not_do_what_it_is_asked_fails() {
    let stage =
        stage(&CODEX, vec![Step { thinking: Some("Why?".into()), ..Step::text("I had rather not.") }]).await;
    let smoke = Smoke::of(&stage.daemon, &[], &["--backend", "codex", "--json"]).await;
    let wanted = ["tool_call", "tool_result", "queued", "next_turn", "memory", "assistant_message", "usage"];
    assert_eq!(
        (smoke.exit, smoke.named("fail")),
        (Some(1), wanted.map(str::to_owned).into()),
        "{}",
        smoke.out
    );
    nothing_is_left(&stage.daemon).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_key_that_is_refused_fails_with_the_providers_words() {
    let stage = stage(&CLAUDECODE, vec![Step::error(401)]).await;
    let smoke = Smoke::of(&stage.daemon, &[], &["--backend", "claudecode", "--json"]).await;
    assert_eq!(smoke.exit, Some(1), "{}", smoke.out);
    let report = smoke.report();
    let error = report["expectations"].as_array().unwrap().iter().find(|f| f["expectation"] == "no_error");
    let error = error.unwrap();
    assert_eq!(error["verdict"], "fail", "{report:#}");
    assert!(error["detail"].as_str().unwrap().starts_with("auth_error: "), "{report:#}");
    nothing_is_left(&stage.daemon).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_model_that_hangs_is_left_when_the_time_is_over() {
    let stage = stage(&CODEX, vec![Step { hang: true, ..Step::text("I think, and think, and") }]).await;
    let smoke = Smoke::of(&stage.daemon, &[], &["--backend", "codex", "--timeout", "8", "--json"]).await;
    assert_eq!(smoke.exit, Some(5), "{}\n{}", smoke.out, smoke.said);
    let report = smoke.report();
    assert_eq!((&report["passed"], &report["timed_out"]), (&Value::Bool(false), &Value::Bool(true)));
    assert!(smoke.named("fail").contains(&"next_turn".to_owned()), "{report:#}");
    nothing_is_left(&stage.daemon).await;
    stage.finish().await;
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused_before_anything_is_made() {
    let daemon = Daemon::start_with(&[("CODEX_CLI_PATH", "/nonexistent/codex")]).await;
    for (backend, exit, words) in
        [("codex", 4, "codex"), ("command", 2, "no agent"), ("nonsense", 2, "no backend `nonsense`")]
    {
        let smoke = Smoke::of(&daemon, &[], &["--backend", backend]).await;
        assert_eq!((smoke.exit, smoke.out.as_str()), (Some(exit), ""), "{backend}: {}", smoke.said);
        assert!(smoke.said.contains(words), "{backend}: {}", smoke.said);
    }
    nothing_is_left(&daemon).await;
    daemon.finish().await;
}

#[tokio::test]
async fn the_daemon_is_started_and_stopped_when_it_was_not_there() {
    let stub = StubModel::start(script(good())).await.unwrap();
    let mut daemon = Daemon::start().await;
    daemon.stop().await;
    let smoke = Smoke::of(&daemon, &CODEX.environment(&stub.base_url()), &["--backend", "codex"]).await;
    assert_eq!(smoke.exit, Some(0), "{}\n{}", smoke.out, smoke.said);
    assert!(smoke.said.contains("stopped the daemon"), "{}", smoke.said);
    assert!(daemon.client().health().await.is_err());
    daemon.finish().await;
}
