//! A recorded conversation with an app server, told again with our codec in the client's place.
//!
//! A `.both` file has a line for each thing that happened: `# MODE` (permissions, first line), `! …` what the
//! platform wanted (`message ID "TEXT"`, `steer ID "TEXT"`, `interrupt`, `answer REQUEST allow|always|deny "TEXT"`),
//! `>` what the client of the recording sent, `<` what the server sent. Answers of the server get the numbers of our
//! codec's requests, by method and order; what that client did not ask for is answered with an empty result.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, HashMap};

use sandboxed_domain::api::Decision;
use sandboxed_domain::harness::{Codec, HarnessEvent, LaunchRequest, PermissionMode, find};
use serde_json::{Value, json};

/// What happens in it, in order.
pub struct Conversation {
    mode: PermissionMode,
    session: Option<String>,
    lines: Vec<String>,
}

/// What one step gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Lines that our codec was made to write.
    Written(String),
    /// What our codec understood.
    Event(HarnessEvent),
}

impl Conversation {
    pub fn read(text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned);
        let mode = match lines.next().unwrap().as_str() {
            "# bypass" => PermissionMode::Bypass,
            "# default" => PermissionMode::Default,
            "# edits" => PermissionMode::AcceptEdits,
            "# plan" => PermissionMode::Plan,
            other => panic!("{other:?} is no mode"),
        };
        let lines: Vec<_> = lines.collect();
        let session = lines.iter().filter_map(|line| line.strip_prefix("> ")).find_map(|sent| {
            let sent: Value = serde_json::from_str(sent).unwrap();
            let resumes = sent["method"] == "thread/resume";
            resumes.then(|| sent["params"]["threadId"].as_str().unwrap().to_owned())
        });
        Self { mode, session, lines }
    }

    /// A codec as the launch plan wants it.
    pub fn codec(&self) -> Box<dyn Codec + Send> {
        let harness = find("codex").unwrap();
        let mut codec = harness.codec();
        codec.restore(harness.plan(&request(self.mode, self.session.as_deref())).unwrap().codec);
        codec
    }

    /// Lines of the server alone.
    pub fn printed(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| line.strip_prefix("< "))
    }

    /// Everything once more; the codec is replaced by a restored one before each line for which `restart` says so.
    pub fn replay(
        &self,
        end: (Option<i32>, Option<i32>),
        mut restart: impl FnMut(usize) -> bool,
    ) -> Vec<Step> {
        let mut replay = Replay {
            codec: self.codec(),
            steps: Vec::new(),
            ours: Numbers::default(),
            details: HashMap::new(),
        };
        let mut theirs = BTreeMap::<u64, (String, usize)>::new();
        let mut counts = HashMap::<String, usize>::new();
        for (index, line) in self.lines.iter().enumerate() {
            if restart(index) {
                replay.codec = restarted(replay.codec.as_ref(), self.codec());
            }
            let (kind, rest) = line.split_at(2);
            match kind {
                "! " => replay.directive(rest),
                "> " => note(rest, &mut theirs, &mut counts),
                _ => replay.server(rest, &mut theirs),
            }
            replay.answer_unasked(&counts, self.lines[index + 1..].iter());
        }
        if restart(usize::MAX) {
            replay.codec = restarted(replay.codec.as_ref(), self.codec());
        }
        let last = replay.codec.finish(end.0, end.1);
        replay.take(last);
        replay.steps
    }
}

/// As after a restart of the daemon: through the bytes that would be stored.
pub fn restarted(codec: &dyn Codec, mut fresh: Box<dyn Codec + Send>) -> Box<dyn Codec + Send> {
    let stored = codec.snapshot().to_string();
    fresh.restore(serde_json::from_str(&stored).unwrap());
    fresh
}

/// Remembers a request of the recording's client.
fn note(sent: &str, theirs: &mut BTreeMap<u64, (String, usize)>, counts: &mut HashMap<String, usize>) {
    let sent: Value = serde_json::from_str(sent).unwrap();
    if let (Some(id), Some(method)) = (sent["id"].as_u64(), sent["method"].as_str()) {
        let count = counts.entry(method.to_owned()).or_default();
        theirs.insert(id, (method.to_owned(), *count));
        *count += 1;
    }
}

/// Requests of our codec by method, in order, and those without an answer.
#[derive(Default)]
struct Numbers {
    asked: HashMap<String, Vec<u64>>,
    open: Vec<(String, usize, u64)>,
}

struct Replay {
    codec: Box<dyn Codec + Send>,
    steps: Vec<Step>,
    ours: Numbers,
    details: HashMap<String, Value>,
}

impl Replay {
    fn directive(&mut self, text: &str) {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let written = match verb {
            "message" | "steer" => {
                let (id, words) = rest.split_once(' ').unwrap();
                let words: String = serde_json::from_str(words).unwrap();
                match verb {
                    "message" => self.codec.encode_user_message(id, &words),
                    _ => self.codec.encode_steer(id, &words),
                }
            }
            "interrupt" => self.codec.encode_interrupt("i-1"),
            "answer" => {
                let mut words = rest.splitn(3, ' ');
                let (id, decision) = (words.next().unwrap(), words.next().unwrap());
                let decision = match decision {
                    "allow" => Decision::Allow,
                    "always" => Decision::AllowAlways,
                    _ => Decision::Deny,
                };
                let text: Option<String> = words.next().map(|text| serde_json::from_str(text).unwrap());
                let detail = self.details.get(id).cloned().unwrap_or_default();
                self.codec.encode_answer(id, &detail, decision, text.as_deref())
            }
            other => panic!("{other:?} is no directive"),
        };
        let written = written.unwrap();
        self.written(&written);
        self.steps.push(Step::Written(written));
    }

    /// One line of the server; an answer that our codec did not ask for is left out.
    fn server(&mut self, line: &str, theirs: &mut BTreeMap<u64, (String, usize)>) {
        let mut value: Value = serde_json::from_str(line).unwrap();
        if value["method"].is_null() {
            let Some((method, count)) = theirs.remove(&value["id"].as_u64().unwrap()) else { return };
            let Some(id) = self.ours.asked.get(&method).and_then(|ids| ids.get(count)).copied() else {
                return;
            };
            self.ours.open.retain(|(_, _, open)| *open != id);
            value["id"] = json!(id);
        }
        let events = self.codec.decode_line(&value.to_string());
        self.take(events);
    }

    /// Answers what the recording's client never asks for.
    fn answer_unasked<'a>(
        &mut self,
        counts: &HashMap<String, usize>,
        later: impl Iterator<Item = &'a String>,
    ) {
        let later: Vec<_> = later.filter_map(|line| line.strip_prefix("> ")).collect();
        while let Some(at) = self.ours.open.iter().position(|(method, count, _)| {
            let word = format!("\"method\": \"{method}\"");
            let to_come = later.iter().filter(|line| line.contains(&word)).count();
            *count >= counts.get(method).copied().unwrap_or(0) + to_come
        }) {
            let (_, _, id) = self.ours.open.remove(at);
            let events = self.codec.decode_line(&json!({ "id": id, "result": {} }).to_string());
            self.take(events);
        }
    }

    fn take(&mut self, events: Vec<HarnessEvent>) {
        for event in events {
            match &event {
                HarnessEvent::Send { line } => self.written(line),
                HarnessEvent::Request { request_id, detail, .. } => {
                    self.details.insert(request_id.clone(), detail.clone());
                }
                _ => {}
            }
            self.steps.push(Step::Event(event));
        }
    }

    fn written(&mut self, lines: &str) {
        for line in lines.lines() {
            let sent: Value = serde_json::from_str(line).unwrap();
            if let (Some(id), Some(method)) = (sent["id"].as_u64(), sent["method"].as_str()) {
                let ids = self.ours.asked.entry(method.to_owned()).or_default();
                self.ours.open.push((method.to_owned(), ids.len(), id));
                ids.push(id);
            }
        }
    }
}

fn request(permission: PermissionMode, session: Option<&str>) -> LaunchRequest {
    LaunchRequest {
        program: vec!["codex".to_owned()],
        cwd: "/work".to_owned(),
        mission_dir: "/missions/m1".to_owned(),
        session_id: session.unwrap_or("11111111-1111-4111-8111-111111111111").to_owned(),
        resume: session.is_some(),
        model: None,
        effort: None,
        permission,
        mcp_servers: Vec::new(),
        library_servers: Vec::new(),
        settings: None,
        instructions: String::new(),
        credentials: BTreeMap::from([("OPENAI_API_KEY".to_owned(), "k".to_owned())]),
        env: BTreeMap::new(),
        login: Vec::new(),
        command: Vec::new(),
        prompt: String::new(),
    }
}
