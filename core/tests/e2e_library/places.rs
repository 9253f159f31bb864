//! What lies where when an agent starts, for each real agent: what a profile has for it is in force, a user's own files
//! in the project are in force beside it and stay as they are, and a second run touches only what has to change.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::json;

use crate::agents::{CLAUDECODE, CODEX, GEMINI, GROK, OPENCODE, Stage, Subject, end_of, report};
use crate::mcp::PROGRAM;
use crate::shelf::{errors, folder, write};
use crate::support::git;

/// What is the agent's own.
struct Place {
    subject: &'static Subject,
    /// Its configuration in the mission's directory.
    home: &'static str,
    /// Files of the profile, below the backend's folder.
    profile: &'static [(&'static str, &'static str)],
    /// What the model is told when they are in force; what a program of theirs leaves in the mission's directory.
    told: &'static str,
    left: Option<&'static str>,
    /// Where a project has skills for it.
    skills: &'static str,
    /// A project's own settings, with an MCP server `spy`: `{spy}` stands for its program.
    project: (&'static str, &'static str),
    /// Whether that server is started. It gets no key then.
    spy: Started,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Started {
    Yes,
    No,
}

const CLAUDE: Place = Place {
    subject: &CLAUDECODE,
    home: ".claude",
    profile: &[
        ("CLAUDE.md", "Sign every letter.\n"),
        ("settings.json", r#"{"outputStyle": "sailor"}"#),
        ("output-styles/sailor.md", "---\nname: sailor\ndescription: At sea\n---\nTalk like a sailor.\n"),
    ],
    told: "Talk like a sailor",
    left: None,
    skills: ".claude/skills",
    project: (".mcp.json", r#"{"mcpServers": {"spy": {"command": "bash", "args": ["{spy}"]}}}"#),
    spy: Started::No,
};

const CODEX_PLACE: Place = Place {
    subject: &CODEX,
    home: ".codex",
    profile: &[
        ("AGENTS.md", "Sign every letter.\n"),
        ("config.toml", "model_instructions_file = \"sailor.md\"\n"),
        ("sailor.md", "Talk like a sailor.\n"),
    ],
    told: "Talk like a sailor",
    left: None,
    skills: ".agents/skills",
    project: (".codex/config.toml", "[mcp_servers.spy]\ncommand = \"bash\"\nargs = [\"{spy}\"]\n"),
    spy: Started::Yes,
};

const OPENCODE_PLACE: Place = Place {
    subject: &OPENCODE,
    home: ".config/opencode",
    profile: &[
        ("AGENTS.md", "Sign every letter.\n"),
        ("opencode.json", r#"{"username": "sailor"}"#),
        ("oh-my-opencode.json", r#"{"agents": {"sailor": {"temperature": 1}}}"#),
        (
            "plugin/house.js",
            "import { readFileSync, writeFileSync } from \"node:fs\"\n\
             const read = (name) => readFileSync(`${process.env.XDG_CONFIG_HOME}/opencode/${name}`, \"utf8\")\n\
             export const House = async () => ({\n  config: async (config) => writeFileSync(\n    \
             `${process.env.SANDBOXED_SH_MISSION_DIR}/house`, config.username + read(\"oh-my-opencode.json\")),\n})\n",
        ),
    ],
    told: "",
    left: Some(r#"sailor{"agents": {"sailor": {"temperature": 1}}}"#),
    // A folder `.opencode` in the project has it ask npm for what it thinks belongs there.
    skills: ".agents/skills",
    // A file without its schema it would write anew with it.
    project: (
        "opencode.json",
        r#"{"$schema": "https://opencode.ai/config.json",
            "mcp": {"spy": {"type": "local", "command": ["bash", "{spy}"]}}}"#,
    ),
    spy: Started::Yes,
};

const GEMINI_PLACE: Place = Place {
    subject: &GEMINI,
    home: ".gemini",
    profile: &[
        ("GEMINI.md", "Sign every letter.\n"),
        ("settings.json", r#"{"context": {"fileName": ["GEMINI.md", "SAILOR.md"]}}"#),
        ("SAILOR.md", "Talk like a sailor.\n"),
    ],
    told: "Talk like a sailor",
    left: None,
    skills: ".gemini/skills",
    project: (".gemini/settings.json", r#"{"mcpServers": {"spy": {"command": "bash", "args": ["{spy}"]}}}"#),
    spy: Started::Yes,
};

const GROK_PLACE: Place = Place {
    subject: &GROK,
    home: ".grok",
    profile: &[
        ("AGENTS.md", "Sign every letter.\n"),
        ("config.toml", "[ui]\ncompact_mode = true\n"),
        (
            "hooks/house.json",
            r#"{"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command":
                "printf sailor > $SANDBOXED_SH_MISSION_DIR/house"}]}]}}"#,
        ),
    ],
    told: "",
    left: Some("sailor"),
    skills: ".grok/skills",
    project: (".grok/config.toml", "[mcp_servers.spy]\ncommand = \"bash\"\nargs = [\"{spy}\"]\n"),
    spy: Started::Yes,
};

/// The server of a project also leaves the names of the keys that it was started with. Codex gives it little more than
/// HOME.
const SPY: &str = "#!/bin/bash\nenv | grep sk-test | cut -d= -f1 > $HOME/spied\n";

fn skill(name: &str, description: &str) -> String {
    format!("---\nname: {name}\ndescription: {description}\n---\nFold.\n")
}

/// The user's own files of a project.
fn own_files(place: &Place, repo: &Path) -> BTreeMap<PathBuf, String> {
    let (settings, text) = place.project;
    let spy = repo.join("spy.sh");
    BTreeMap::from([
        (repo.join(place.subject.context_file), "The house rule is: marmalade on Sundays.\n".to_owned()),
        (repo.join(place.skills).join("carving/SKILL.md"), skill("carving", "Carves soap into swans")),
        (repo.join(settings), text.replace("{spy}", &spy.display().to_string())),
        (spy, PROGRAM.replace("#!/bin/bash\n", SPY)),
    ])
}

/// Everything below a directory that the platform wrote there, with what tells whether it was written again.
fn stamps(home: &Path, names: &[&str]) -> Vec<(u64, i64, i64)> {
    let stamp = |name: &&str| std::fs::metadata(home.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let all = names.iter().map(stamp);
    all.map(|found| (found.ino(), found.mtime(), found.mtime_nsec())).collect()
}

async fn everything_is_in_its_place(place: &Place) {
    let subject = place.subject;
    let look = (place.spy == Started::Yes).then(|| Step::mcp("spy", "look", json!({})));
    let first = look.into_iter().chain([report("DONE", "ok"), Step::text("Done.")]);
    let script = Script::default()
        .scenario("s", first)
        .scenario("again", [report("DONE", "ok"), Step::text("Done again.")]);
    let stage = Stage::new(&[subject], script).await;
    let repo = stage.daemon.repo();
    let own = own_files(place, &repo);
    for (path, text) in &own {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    git(&repo, &["add", "-f", "."]);
    git(&repo, &["commit", "-qm", "Ours"]);
    let client = stage.daemon.client();
    for (path, text) in place.profile {
        let file = write(&client, &format!("configs/house/{}/{path}", subject.id), text).await;
        assert_eq!(file.problems, []);
    }
    for name in ["kept", "left", "gone"] {
        let text = skill(name, &format!("Folds what is {name}"));
        write(&client, &format!("skills/{name}/SKILL.md"), &text).await;
    }

    let more = json!({"config_profile": "house", "worktree": {"branch": "task/house"}});
    let id = stage.worker(subject.worker_with("go [[s]]", more)).await;
    let record = stage.end(id).await;
    let events = stage.daemon.events(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}\n{events:#?}");
    assert_eq!(errors(&events, "library_incomplete"), [""; 0]);
    let told = stage.conversation("s/0").await;
    let ours = ["Sign every letter", place.told, "Folds what is kept", "Folds what is gone"];
    for words in ours.iter().chain(&["marmalade on Sundays", "Carves soap into swans"]) {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
    let mission = stage.mission_dir(id).await;
    if place.spy == Started::Yes {
        let seen = stage.conversation("s/1").await;
        assert!(seen.contains("keys=[]"), "what a server of the project has of keys: {seen}");
    }
    let spied = std::fs::read_to_string(mission.join("spied")).ok();
    assert_eq!(spied.as_deref(), (place.spy == Started::Yes).then_some(""), "keys that it was started with");
    if let Some(left) = place.left {
        assert_eq!(std::fs::read_to_string(mission.join("house")).unwrap(), left);
    }

    // What somebody changed stays and is told, what the Library has no more goes, the rest is not touched.
    let home = mission.join(place.home);
    let (own_native, changed) = (place.profile.last().unwrap().0, "skills/left/SKILL.md");
    let untouched = [own_native, "skills/kept/SKILL.md"];
    let before = stamps(&home, &untouched);
    std::fs::write(home.join(changed), skill("left", "Folds as I like")).unwrap();
    for name in ["left", "gone"] {
        std::fs::remove_dir_all(folder(&stage.daemon).join("skills").join(name)).unwrap();
    }
    let record = stage.resume(id, "go on [[again]]").await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!(stamps(&home, &untouched), before, "what did not change was written again");
    assert!(!home.join("skills/gone").exists());
    assert!(std::fs::read_to_string(home.join(changed)).unwrap().contains("as I like"));
    let told = errors(&stage.daemon.events(id).await, "file_kept");
    assert!(told.iter().any(|message| message.contains(changed)), "{told:?}");
    for (path, text) in &own {
        assert_eq!(&std::fs::read_to_string(path).unwrap(), text, "{}", path.display());
    }
    let facts = record.git.unwrap();
    assert_eq!((facts.dirty, facts.untracked, facts.commits_ahead), (0, 0, 0), "{facts:?}");
    stage.finish().await;
}

#[tokio::test]
async fn claude_code_has_everything_in_its_place() {
    everything_is_in_its_place(&CLAUDE).await;
}

#[tokio::test]
async fn codex_has_everything_in_its_place() {
    everything_is_in_its_place(&CODEX_PLACE).await;
}

#[tokio::test]
async fn opencode_has_everything_in_its_place() {
    everything_is_in_its_place(&OPENCODE_PLACE).await;
}

#[tokio::test]
async fn gemini_has_everything_in_its_place() {
    everything_is_in_its_place(&GEMINI_PLACE).await;
}

#[tokio::test]
async fn grok_has_everything_in_its_place() {
    everything_is_in_its_place(&GROK_PLACE).await;
}
