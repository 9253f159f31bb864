//! desktop-mcp where it is meant to work: in sandboxes, selected for a mission, over an image of the template `browser`.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use sandboxed_domain::api::CreateWorkspaceParams;
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{CLAUDECODE, CODEX, SOON, Stage, Subject, end_of, processes_of, report};

/// Longest build of the image, from a distant mirror beside other builds.
const BUILD: Duration = Duration::from_secs(900);
/// The template, and programs that tell of their elements: one image for all tests here.
const TEMPLATE: &str = "extends = \"browser\"\npackages = [\"gtk-3-examples\", \"zenity\"]\n";
/// Shows what it gets, and keeps it when the line ends.
const NOTES: &str =
    "exec xterm -T Notes -geometry 60x12+20+20 -e sh -c 'read line; echo \"$line\" > typed.txt'";

fn tool(name: &str, input: Value) -> Step {
    Step::mcp("desktop-mcp", name, input)
}

fn key(keys: &str) -> Step {
    tool("computer", json!({"action": "key", "text": keys}))
}

fn there(text: &str) -> Value {
    json!({"until": "element", "text": text, "timeout_seconds": 100})
}

/// A workspace whose image is there.
pub async fn workspace(stage: &Stage, name: &str) -> String {
    let templates = stage.daemon.data().join("library/templates");
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(templates.join("desk.toml"), TEMPLATE).unwrap();
    let params =
        CreateWorkspaceParams { name: name.into(), template: Some("desk".into()), ..Default::default() };
    let client = stage.daemon.client();
    let id = client.create_workspace(&params).await.unwrap().id.to_string();
    let built = tokio::time::timeout(BUILD, client.build_workspace(&id, |_| {}));
    built.await.expect("the image is built in time").unwrap();
    id
}

fn worker(subject: &Subject, scenario: &str, workspace: &str) -> Value {
    // Codex's own choice gives pictures to programs of the model's only.
    let more = json!({"mcps": ["desktop"], "workspace_id": workspace, "model": subject.model});
    subject.worker_with(&format!("look and act [[{scenario}]]"), more)
}

/// An agent sees the screen, clicks, types, uses a menu, and leaves nothing.
async fn an_agent_uses_its_desktop(subject: &'static Subject) {
    let steps = [
        tool("start_desktop", json!({"width": 640, "height": 480})),
        tool("launch_program", json!({"command": NOTES, "wait_seconds": 100})),
        tool("computer", json!({"action": "left_click", "coordinate": [100, 100]})),
        tool("computer", json!({"action": "type", "text": "Grüße from inside", "then": "screenshot"})),
        key("Return"),
        tool("wait_for", json!({"until": "window", "text": "Notes", "gone": true, "timeout_seconds": 100})),
        tool("launch_program", json!({"command": "exec gtk3-demo-application", "wait_seconds": 100})),
        tool("wait_for", there("Preferences")),
        tool("act_on", json!({"action": "choose", "text": "Preferences", "value": "Color > Green"})),
        tool("stream", json!({})),
        report("DONE", "ok"),
        Step::text("Done."),
    ];
    let stage = Stage::with(subject, steps).await;
    let workspace = workspace(&stage, "screens").await;
    let id = stage.worker(worker(subject, "s", &workspace)).await;
    let record = stage.end(id).await;
    let said = stage.conversation("s/10").await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}\n{said}");
    let typed = std::path::Path::new(record.working_directory.as_deref().unwrap()).join("typed.txt");
    assert_eq!(std::fs::read_to_string(typed).unwrap(), "Grüße from inside\n", "{said}");
    // Base64 of how every PNG begins.
    assert!(said.contains("iVBORw0KGgo"), "the model sees the screen: {said}");
    assert!(said.contains("chosen: \\\"Green\\\""), "{said}");
    assert!(!said.contains("notes\\\":"), "nothing is missing in the image: {said}");
    let left = processes_of(id);
    assert!(left.is_empty(), "the desktop ends with its mission: {left:#?}");
    stage.finish().await;
}

#[tokio::test]
async fn claude_code_uses_its_desktop_in_a_sandbox() {
    an_agent_uses_its_desktop(&CLAUDECODE).await;
}

#[tokio::test]
async fn codex_uses_its_desktop_in_a_sandbox() {
    an_agent_uses_its_desktop(&CODEX).await;
}

/// Which X servers answer at all, on their files or on abstract sockets, as `[file0 abstract0 …]`.
const PROBE: &str = r#"perl -e 'use Socket; my @found; for my $n (0..60) { for my $kind ("file", "abstract") {
    socket(my $s, AF_UNIX, SOCK_STREAM, 0);
    my $path = ($kind eq "file" ? "" : "\0") . "/tmp/.X11-unix/X$n";
    push @found, "$kind$n" if connect($s, pack_sockaddr_un($path)) } } print "answer: [@found]\n"'"#;
/// Waits in the mission's own directory until the test lets it go on.
const GATE: &str = "mkfifo \"$HOME/gate\" && touch \"$HOME/ready\" && read -r _ < \"$HOME/gate\"";

/// A terminal with the keys that keeps every line.
fn listener(title: &str) -> [Step; 2] {
    let command = format!("exec xterm -T {title} -geometry 60x12+20+20 -e sh -c 'exec cat > heard.txt'");
    [
        tool("launch_program", json!({"command": command, "wait_seconds": 100})),
        tool("computer", json!({"action": "left_click", "coordinate": [100, 100]})),
    ]
}

async fn heard(stage: &Stage, id: Uuid) -> String {
    let directory = stage.daemon.client().mission(id).await.unwrap().working_directory.unwrap();
    std::fs::read_to_string(std::path::Path::new(&directory).join("heard.txt")).unwrap()
}

/// Kills whoever keeps a mission's desktop, and returns when nothing of the desktop is left.
async fn kill_keepers(id: Uuid) {
    let all = processes_of(id);
    let desktop: Vec<_> = all
        .iter()
        .filter(|process| {
            ["desktop-mcp", "Xvfb", "openbox", "xterm"].iter().any(|name| process.line.contains(name))
        })
        .map(|process| Pid::from_raw(process.pid).unwrap())
        .map(|pid| (pid, pidfd_open(pid, PidfdFlags::empty()).unwrap()))
        .collect();
    assert!(desktop.len() >= 6, "server, guard, keeper, X server, window manager, terminal: {all:#?}");
    for process in all.iter().filter(|process| process.line.contains("desktop-mcp")) {
        let killed = kill_process(Pid::from_raw(process.pid).unwrap(), Signal::KILL);
        // It may have ended with the one before.
        assert!(matches!(killed, Ok(()) | Err(rustix::io::Errno::SRCH)), "{killed:?}");
    }
    for (pid, process) in desktop {
        let ended = tokio::task::spawn_blocking(move || {
            let longest = Timespec { tv_sec: SOON.as_secs().cast_signed(), tv_nsec: 0 };
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&longest))
        });
        assert_eq!(ended.await.unwrap(), Ok(1), "{pid:?} ends");
    }
}

/// Neither sees, hears or reaches the other's desktop; and one whose server is killed takes all of it along.
#[tokio::test]
async fn two_missions_in_two_sandboxes_have_desktops_apart() {
    let start = || tool("start_desktop", json!({"width": 640, "height": 480}));
    let windows = || tool("list_windows", json!({}));
    let [launch, click] = listener("Secrets");
    let one = [start(), launch, click, Step::bash(GATE), report("DONE", "ok"), Step::text("Done.")];
    let [launch, click] = listener("Mine");
    let typed = tool("computer", json!({"action": "type", "text": "intruder\n"}));
    let empty = tool("wait_for", json!({"until": "window", "text": "Secrets", "timeout_seconds": 1}));
    let two = [
        start(),
        windows(),
        Step::bash(PROBE),
        launch,
        click,
        typed,
        empty,
        windows(),
        report("DONE", "ok"),
        Step::text("Done."),
    ];
    let script = Script::default().scenario("one", one).scenario("two", two);
    let stage = Stage::new(&[&CLAUDECODE], script).await;
    let (first, second) = (workspace(&stage, "first").await, workspace(&stage, "second").await);
    let one = stage.worker(worker(&CLAUDECODE, "one", &first)).await;
    let ready = stage.made(one, "ready").await;
    let two = stage.run(worker(&CLAUDECODE, "two", &second)).await;
    let said = stage.conversation("two/8").await;
    assert_eq!(end_of(&two), (S::Completed, Some(R::Done)), "{two:#?}\n{said}");
    assert_eq!(said.matches("Secrets").count(), 1, "only where it was asked for: {said}");
    assert!(said.contains("\\\"Mine\\\""), "{said}");
    let number = said.split("\\\"display\\\":\\\":").nth(1).unwrap().split('\\').next().unwrap();
    let own = format!("answer: [file{number} abstract{number}]");
    assert!(said.contains(&own), "its own X server only, {own}: {said}");
    assert_eq!(heard(&stage, two.worker_id).await, "intruder\n");
    assert_eq!(heard(&stage, one).await, "", "keys of another");
    kill_keepers(one).await;
    stage.open_gate(&ready.with_file_name("gate")).await;
    let record = stage.end(one).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let left = processes_of(one);
    assert!(left.is_empty(), "{left:#?}");
    stage.finish().await;
}
