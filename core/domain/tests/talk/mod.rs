//! Recorded conversations with the real agents over a protocol both ways: `captures/AGENT/NAME.talk`.
//!
//! The first line (`#`) says what the run was planned with; `>` is what was sent and `<` what was printed, in order.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{AuthKind, Decision, PermissionMode};
use sandboxed_domain::harness::{Codec, HarnessEvent, LaunchRequest, McpServer, find};
use serde_json::{Value, json};

/// One conversation.
pub struct Talk {
    pub path: PathBuf,
    pub agent: String,
    about: Value,
    lines: Vec<(char, String)>,
}

/// A new codec with its plan's state, as at the start of a run.
pub type NewCodec<'a> = &'a dyn Fn() -> Box<dyn Codec + Send>;

/// All conversations of these agents.
pub fn talks(agents: &[&str]) -> Vec<Talk> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut found = Vec::new();
    for agent in agents {
        let entries = fs::read_dir(folder.join(agent)).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|e| e == "talk")).collect();
        paths.sort();
        assert!(paths.len() > 9, "conversations of {agent} are missing");
        found.extend(paths.into_iter().map(|path| read(agent, path)));
    }
    found
}

fn read(agent: &str, path: PathBuf) -> Talk {
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let about = serde_json::from_str(lines.next().unwrap().strip_prefix('#').unwrap()).unwrap();
    let lines = lines.map(|line| (line.chars().next().unwrap(), line[1..].to_owned())).collect();
    Talk { path, agent: agent.to_owned(), about, lines }
}

/// What runs are planned with, whatever the agent.
pub fn request() -> LaunchRequest {
    LaunchRequest {
        program: vec!["/opt/harness/agent".to_owned()],
        cwd: "/work/tree".to_owned(),
        mission_dir: "/missions/m1".to_owned(),
        session_id: "11111111-1111-4111-8111-111111111111".to_owned(),
        resume: false,
        model: None,
        effort: None,
        permission: PermissionMode::Bypass,
        mcp_servers: Vec::new(),
        library_servers: Vec::new(),
        settings: None,
        instructions: "# You are a worker\n".to_owned(),
        credentials: BTreeMap::new(),
        env: BTreeMap::new(),
        login: Vec::new(),
        command: Vec::new(),
        prompt: String::new(),
    }
}

impl Talk {
    /// A codec as it stands before the first line.
    pub fn codec(&self) -> Box<dyn Codec + Send> {
        let harness = find(&self.agent).unwrap();
        let mut codec = harness.codec();
        codec.restore(harness.plan(&self.request()).unwrap().codec);
        codec
    }

    fn request(&self) -> LaunchRequest {
        let about = &self.about;
        let server = McpServer {
            name: "stub".to_owned(),
            command: "/opt/bin/mcp".to_owned(),
            args: vec!["--worker".to_owned()],
            env: BTreeMap::from([("STUB_TOKEN".to_owned(), "t9".to_owned())]),
        };
        // All were recorded with a key.
        let harness = find(&self.agent).unwrap();
        let key = harness.host_variables().iter().find(|variable| variable.auth == AuthKind::ApiKey);
        let session = self.sent().find_map(|line| line["params"]["sessionId"].as_str().map(str::to_owned));
        LaunchRequest {
            credentials: key.map(|key| (key.name.to_owned(), "k".to_owned())).into_iter().collect(),
            resume: about["resume"] == true,
            session_id: session.unwrap_or_default().trim().to_owned(),
            model: about["model"].as_str().map(str::to_owned),
            effort: serde_json::from_value(about["effort"].clone()).unwrap(),
            permission: serde_json::from_value(about["mode"].clone()).unwrap(),
            mcp_servers: if about["mcp"] == true { vec![server] } else { Vec::new() },
            ..request()
        }
    }

    fn sent(&self) -> impl Iterator<Item = Value> {
        self.lines.iter().filter(|(way, _)| *way == '>').map(|(_, line)| serde_json::from_str(line).unwrap())
    }

    /// What was printed.
    pub fn printed(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(|(way, _)| *way == '<').map(|(_, line)| line.as_str())
    }

    fn prompts(&self) -> VecDeque<String> {
        let prompts = self.sent().filter(|line| line["method"] == "session/prompt");
        prompts
            .map(|line| {
                let text = line["params"]["prompt"][0]["text"].as_str().unwrap().to_owned();
                text.strip_prefix('\u{200b}').map(str::to_owned).unwrap_or(text)
            })
            .collect()
    }

    /// Has the codec lead the conversation. Everything that it writes must be what was sent, in order.
    ///
    /// The codec is replaced by a restored one before every line for which `restart` says so.
    pub fn replay(
        &self,
        end: (Option<i32>, Option<i32>),
        mut restart: impl FnMut(usize) -> bool,
    ) -> Vec<HarnessEvent> {
        let mut play = Play { talk: self, codec: self.codec(), prompts: self.prompts(), ..Play::of(self) };
        for (at, (way, line)) in self.lines.iter().enumerate() {
            if restart(at) {
                play.codec = restarted(self, play.codec.as_ref());
            }
            match way {
                '<' => {
                    let events = play.codec.decode_line(line);
                    play.take(events);
                }
                _ => play.expect(line),
            }
        }
        if restart(usize::MAX) {
            play.codec = restarted(self, play.codec.as_ref());
        }
        let events = play.codec.finish(end.0, end.1);
        play.take(events);
        assert!(play.written.is_empty(), "{}: written and not sent: {:?}", self.path.display(), play.written);
        play.events
    }
}

/// As after a restart of the daemon: through the bytes that would be stored.
pub fn restarted(talk: &Talk, codec: &dyn Codec) -> Box<dyn Codec + Send> {
    let stored = codec.snapshot().to_string();
    let mut fresh = find(&talk.agent).unwrap().codec();
    fresh.restore(serde_json::from_str(&stored).unwrap());
    fresh
}

struct Play<'a> {
    talk: &'a Talk,
    codec: Box<dyn Codec + Send>,
    prompts: VecDeque<String>,
    messages: usize,
    written: VecDeque<Value>,
    requests: BTreeMap<String, Value>,
    events: Vec<HarnessEvent>,
}

impl<'a> Play<'a> {
    fn of(talk: &'a Talk) -> Self {
        Self {
            talk,
            codec: talk.codec(),
            prompts: VecDeque::new(),
            messages: 0,
            written: VecDeque::new(),
            requests: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    fn take(&mut self, events: Vec<HarnessEvent>) {
        for event in events {
            match &event {
                HarnessEvent::Send { line } => self.write(line),
                HarnessEvent::Request { request_id, detail, .. } => {
                    self.requests.insert(request_id.clone(), detail.clone());
                }
                _ => {}
            }
            self.events.push(event);
        }
    }

    fn write(&mut self, lines: &str) {
        assert!(lines.is_empty() || lines.ends_with('\n'));
        self.written.extend(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }

    /// A line that was sent: the codec has written it already, or does when it is asked to.
    fn expect(&mut self, line: &str) {
        let sent: Value = serde_json::from_str(line).unwrap();
        if self.written.is_empty() {
            let lines = self.act(&sent);
            self.write(&lines);
        }
        let written = self.written.pop_front();
        assert_eq!(written.as_ref(), Some(&sent), "{}", self.talk.path.display());
    }

    fn act(&mut self, sent: &Value) -> String {
        if sent["method"] == "session/cancel" {
            return self.codec.encode_interrupt("i-1").unwrap();
        }
        if sent.get("result").is_some() {
            return self.answer(sent);
        }
        self.messages += 1;
        // A handshake that fails never gets to it.
        let text = self.prompts.pop_front().unwrap_or("x".to_owned());
        self.codec.encode_user_message(&format!("m-{}", self.messages), &text).unwrap()
    }

    fn answer(&mut self, sent: &Value) -> String {
        let id = sent["id"].as_str().map_or_else(|| sent["id"].to_string(), str::to_owned);
        let detail = self.requests.remove(&id).unwrap();
        let outcome = &sent["result"]["outcome"];
        let options = detail["options"].as_array().cloned().unwrap_or_default();
        let chosen = options.iter().find(|option| option["optionId"] == outcome["optionId"]);
        let (decision, words) = match (outcome.as_str(), chosen) {
            (Some("accepted"), _) => {
                (Decision::Allow, sent["result"]["answers"].as_object().unwrap().values().next())
            }
            (_, Some(option)) if option["kind"].as_str().unwrap().starts_with("allow") => {
                (Decision::Allow, None)
            }
            _ => (Decision::Deny, None),
        };
        let words = words.map(|answers| answers[0].as_str().unwrap().to_owned());
        self.codec.encode_answer(&id, &detail, decision, words.as_deref()).unwrap()
    }
}

/// `exit 1` or `signal 9`.
pub fn end_of(line: &str) -> (Option<i32>, Option<i32>) {
    match line.split_once(' ') {
        Some(("exit", code)) => (Some(code.parse().unwrap()), None),
        Some(("signal", signal)) => (None, Some(signal.parse().unwrap())),
        _ => panic!("{line:?} is no end of a process"),
    }
}

/// A message of JSON-RPC as a line.
pub fn message(fields: Value) -> String {
    let mut whole = json!({"jsonrpc": "2.0"});
    whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    whole.to_string()
}
