//! What real agents see of the Library, and what is left when the Library has it no more.

use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::json;

use crate::agents::{CLAUDECODE, CODEX, GEMINI, GROK, OPENCODE, Stage, Subject, end_of, report};
use crate::mcp::{Address, PROGRAM};
use crate::shelf::{Remote, errors, write};

const SKILL: &str = "---\nname: origami\ndescription: Folds paper into cranes\n---\nFold twice.\n";
const AGENT: &str = "---\ndescription: Tastes soup and judges its salt\n---\nYou taste soup.\n";
const COMMAND: &str = "---\ndescription: Greets somebody warmly\n---\nGreet with a bow: $ARGUMENTS\n";

/// Secrets of the machine in the file that the daemon reads.
fn secrets(stage: &Stage, text: &str) {
    let path = stage.daemon.data().join("library.env");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// Every kind of thing that a Library has for agents.
async fn fill(stage: &Stage, address: &Address) {
    let client = stage.daemon.client();
    write(&client, "skills/origami/SKILL.md", SKILL).await;
    write(&client, "agents/taster.md", AGENT).await;
    write(&client, "commands/greet.md", COMMAND).await;
    write(&client, "rules/tea.md", "Tea is served at four.\n").await;
    write(&client, "tools/look-mcp", PROGRAM).await;
    write(&client, "mcps/looker.toml", "command = \"look-mcp\"\nenv = { LOOK_TOKEN = \"${LOOK}\" }\n").await;
    let teller = format!("url = {:?}\nheaders = {{ Authorization = \"Bearer ${{TELL}}\" }}\n", address.url());
    let file = write(&client, "mcps/teller.toml", &teller).await;
    assert_eq!(file.problems, []);
    assert_eq!(client.library().await.unwrap().problems, []);
    secrets(stage, "LOOK=look-s3cret\nTELL=tell-s3cret\n");
}

/// One worker that uses both servers; what the model was given before and after.
async fn everything_is_seen(subject: &'static Subject, wanted: &[&str]) {
    let script = Script::default().scenario(
        "s",
        [
            Step::mcp("looker", "look", json!({})),
            Step::mcp("teller", "tell", json!({})),
            report("DONE", "ok"),
            Step::text("Done."),
        ],
    );
    let stage = Stage::new(&[subject], script).await;
    let address = Address::start().await;
    fill(&stage, &address).await;
    let more = json!({"mcps": ["looker", "teller"], "agent": "taster"});
    let id = stage.worker(subject.worker_with("/greet Ada [[s]]", more)).await;
    let record = stage.end(id).await;
    assert_eq!(
        end_of(&record),
        (S::Completed, Some(R::Done)),
        "{record:#?}\n{:#?}",
        stage.daemon.events(id).await
    );
    let first = stage.conversation("s/0").await;
    for words in wanted.iter().chain(&["Tea is served at four", "You taste soup", "Folds paper into cranes"])
    {
        assert!(first.contains(words), "{words:?} is missing in {first}");
    }
    let after = stage.conversation("s/2").await;
    assert!(after.contains("own=look-s3cret keys=[]"), "{after}");
    assert!(after.contains("once upon a time"), "{after}");
    let authorizations = address.authorizations();
    assert!(!authorizations.is_empty() && authorizations.iter().all(|header| header == "Bearer tell-s3cret"));
    let events = stage.daemon.events(id).await;
    assert_eq!(errors(&events, "library_incomplete"), [""; 0]);
    let all = serde_json::to_string(&events).unwrap() + &stage.daemon.log();
    assert!(!all.contains("tell-s3cret"), "a header's secret is told");
    drop(address);
    stage.finish().await;
}

#[tokio::test]
async fn claude_code_sees_skills_agents_commands_rules_and_servers() {
    everything_is_seen(&CLAUDECODE, &["Greet with a bow: Ada", "Tastes soup and judges"]).await;
}

#[tokio::test]
async fn codex_sees_skills_agents_commands_rules_and_servers() {
    everything_is_seen(&CODEX, &["Greets somebody warmly", "Tastes soup and judges"]).await;
}

#[tokio::test]
async fn gemini_sees_skills_agents_commands_rules_and_servers() {
    everything_is_seen(&GEMINI, &["Greets somebody warmly", "Tastes soup and judges"]).await;
}

#[tokio::test]
async fn grok_sees_skills_commands_rules_and_servers() {
    everything_is_seen(&GROK, &["Greets somebody warmly"]).await;
}

#[tokio::test]
async fn opencode_sees_skills_agents_commands_rules_and_servers() {
    everything_is_seen(&OPENCODE, &["Greets somebody warmly", "Tastes soup and judges"]).await;
}

/// The platform's own server for files works in the worker's directory, for an agent that was given it and no other.
#[tokio::test]
async fn the_built_in_workspace_server_serves_who_selects_it() {
    let write = || json!({"path": "made.txt", "content": "by a tool\n"});
    let script = || Step::mcp("workspace-mcp", "write_file", write());
    let script = Script::default()
        .scenario("with", [script(), report("DONE", "ok"), Step::text("Done.")])
        .scenario("without", [script(), report("DONE", "ok"), Step::text("Done.")]);
    let stage = Stage::new(&[&CLAUDECODE, &CODEX], script).await;
    for subject in [&CLAUDECODE, &CODEX] {
        let with = stage.run(subject.worker_with("go [[with]]", json!({"mcps": ["workspace"]}))).await;
        assert_eq!(end_of(&with), (S::Completed, Some(R::Done)), "{with:#?}");
        let made = std::path::Path::new(with.working_directory.as_deref().unwrap()).join("made.txt");
        assert_eq!(std::fs::read_to_string(&made).unwrap(), "by a tool\n");
        std::fs::remove_file(&made).unwrap();
        stage.run(subject.worker("go [[without]]")).await;
        assert!(!made.exists(), "it is not there unless it is selected");
    }
    stage.finish().await;
}

/// A template's word holds for every mission of its workspaces: here it is the default one's, with the packages of the
/// built-in one, so that its image is there.
#[tokio::test]
async fn a_template_gives_skills_servers_and_an_environment() {
    let made = json!({"path": "made.txt", "content": "by a tool\n"});
    let steps = [Step::mcp("workspace-mcp", "write_file", made), report("DONE", "ok"), Step::text("Done.")];
    let stage = Stage::new(&[&CLAUDECODE], Script::default().scenario("s", steps)).await;
    let client = stage.daemon.client();
    write(&client, "skills/origami/SKILL.md", SKILL).await;
    let other = SKILL.replace("origami", "knots").replace("Folds paper into cranes", "Ties ropes");
    write(&client, "skills/knots/SKILL.md", &other).await;
    let template = "packages: [bash, ca-certificates, git, procps]\n\
                    skills: [origami]\nmcps:\n  - workspace\nenv: { GREETING: Hi }\n";
    assert_eq!(write(&client, "templates/minimal.yaml", template).await.problems, []);
    let check = json!({"verification_command": "test \"$GREETING\" = Hi && test -f made.txt"});
    let record = stage.run(CLAUDECODE.worker_with("go [[s]]", check)).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let first = stage.conversation("s/0").await;
    assert!(first.contains("Folds paper into cranes") && !first.contains("Ties ropes"), "{first}");
    stage.finish().await;
}

/// Its remote is away and its profile names what is not there: the mission is told both, and works with what there is.
#[tokio::test]
async fn a_mission_does_without_what_is_missing_and_says_so() {
    let remote = Remote::with(&[
        ("rules/tea.md", "Tea is served at four.\n"),
        ("configs/default/profile.toml", "skills = [\"nowhere\"]\nmcps = [\"nobody\"]\n"),
    ]);
    let path = remote.path().display().to_string();
    let script = || [report("DONE", "ok"), Step::text("Done.")];
    let script = Script::default().scenario("s", script()).scenario("again", script());
    let stage = Stage::with_settings(&[&CODEX], script, &[("SANDBOXED_SH_LIBRARY_REMOTE", &path)]).await;
    stage.daemon.client().sync_library().await.unwrap();
    let id = stage.worker(CODEX.worker("go [[s]]")).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let events = stage.daemon.events(id).await;
    let missing = errors(&events, "library_incomplete");
    assert!(
        missing.len() == 2 && missing[0].contains("nowhere") && missing[1].contains("nobody"),
        "{missing:?}"
    );
    assert_eq!(errors(&events, "library_stale"), [""; 0]);

    std::fs::rename(&path, remote.root().join("away")).unwrap();
    stage.daemon.client().sync_library().await.unwrap_err();
    let record = stage.resume(id, "go on [[again]]").await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let stale = errors(&stage.daemon.events(id).await, "library_stale");
    assert!(stale.len() == 1 && stale[0].contains("lib.git") && stale[0].contains("serves"), "{stale:?}");
    assert!(stage.conversation("again/0").await.contains("Tea is served at four"));
    stage.finish().await;
}
