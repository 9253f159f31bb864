//! Reading the events of the mission.

use std::collections::BTreeMap;

use super::expectation::{Expectation as E, Finding, Verdict};
use super::{GATE, answer};
use crate::api::{EventBody, Usage};
use crate::mission::MissionStatus;

/// Codes of errors that are a turn's end; others are told and go by.
const FATAL: [&str; 5] = ["rate_limited", "auth_error", "harness_error", "budget_exceeded", "stalled"];

/// What was seen so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    word: String,
    status: Option<MissionStatus>,
    active: bool,
    /// The call that reads the fifo: its id and the tool's name.
    call: Option<(String, String)>,
    /// Whether that call has its result, and whether it failed.
    result: Option<bool>,
    /// Some result held the word.
    printed: bool,
    /// How the second message was accepted.
    queued: Option<bool>,
    thinking: usize,
    deltas: usize,
    /// Messages of each turn, the running one last.
    messages: Vec<Vec<String>>,
    usages: Vec<Usage>,
    errors: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

impl Observed {
    /// Before anything is seen. The word is what the command will print.
    pub fn new(word: &str) -> Self {
        Self { word: word.to_owned(), messages: vec![Vec::new()], ..Self::default() }
    }

    /// What goes through the fifo.
    pub fn answer(&self) -> String {
        answer(&self.word)
    }

    /// An event of the mission.
    pub fn take(&mut self, body: &EventBody) {
        *self.counts.entry(body.type_name()).or_default() += 1;
        match body {
            EventBody::MissionStatusChanged { status, .. } => {
                self.active |= *status == MissionStatus::Active;
                self.status = Some(*status);
            }
            EventBody::Thinking { content, .. } => self.thinking += content.trim().len(),
            EventBody::TextDelta { content } => self.deltas += usize::from(!content.is_empty()),
            EventBody::ToolCall { tool_call_id, name, args }
                if self.call.is_none() && args.to_string().contains(GATE) =>
            {
                self.call = Some((tool_call_id.clone(), name.clone()));
            }
            EventBody::ToolResult { tool_call_id, result, is_error, .. } => {
                self.printed |= result.to_string().contains(&self.word);
                if self.call.as_ref().is_some_and(|(id, _)| id == tool_call_id) {
                    self.result = Some(*is_error);
                }
            }
            EventBody::AssistantMessage { content, .. } => {
                if let Some(turn) = self.messages.last_mut().filter(|_| !content.trim().is_empty()) {
                    turn.push(content.clone());
                }
            }
            EventBody::Usage(usage) => {
                self.usages.push(*usage);
                self.messages.push(Vec::new());
            }
            EventBody::Error { code, message } if FATAL.contains(&code.as_str()) => {
                self.errors.push(format!("{code}: {message}"));
            }
            _ => {}
        }
    }

    /// The second message was accepted.
    pub fn accepted(&mut self, queued: bool) {
        self.queued = Some(queued);
    }

    /// Whether it is busy with the command and the second message is still to be sent.
    pub fn is_busy(&self) -> bool {
        self.call.is_some() && self.result.is_none() && self.usages.is_empty() && self.queued.is_none()
    }

    /// Whether nothing more is to come.
    pub fn is_over(&self) -> bool {
        match self.status {
            Some(status) if status.is_ended() => true,
            Some(MissionStatus::Waiting | MissionStatus::RateLimited) => {
                self.usages.len() >= if self.queued.is_some() { 2 } else { 1 } || !self.errors.is_empty()
            }
            _ => false,
        }
    }

    /// How many events of each type came.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// All expectations against what was seen. What is in `skipped` is not asked for.
    pub fn findings(&self, skipped: &[E]) -> Vec<Finding> {
        let finding = |expectation| {
            let (met, detail) = self.look(expectation);
            let verdict = match (met, skipped.contains(&expectation)) {
                (_, true) => Verdict::Skipped,
                (true, false) => Verdict::Pass,
                (false, false) => Verdict::Fail,
            };
            Finding { expectation, verdict, detail }
        };
        E::ALL.into_iter().map(finding).collect()
    }

    fn look(&self, expectation: E) -> (bool, String) {
        match expectation {
            E::Starts => (self.active, self.status.map_or("nothing came", |s| s.as_str()).to_owned()),
            E::ToolCall => match &self.call {
                Some((_, name)) => (true, name.clone()),
                None => (false, "no call of the command was seen".to_owned()),
            },
            E::ToolResult => match (self.result, self.printed) {
                (Some(false), true) => (true, "with what the command printed".to_owned()),
                (Some(true), _) => (false, "the command failed".to_owned()),
                (Some(false), false) => (false, "without what the command printed".to_owned()),
                (None, _) => (false, "the call has no result".to_owned()),
            },
            E::Queued => match self.queued {
                Some(queued) => (queued, format!("queued: {queued}")),
                None => (false, "never busy, so nothing was sent".to_owned()),
            },
            E::NextTurn => (
                self.queued.is_some() && self.usages.len() >= 2 && self.errors.is_empty(),
                format!("{} turns", self.usages.len()),
            ),
            E::Memory => self.memory(),
            E::Thinking => (self.thinking > 0, format!("{} bytes", self.thinking)),
            E::TextDelta => (self.deltas > 0, format!("{} pieces", self.deltas)),
            E::AssistantMessage => {
                let told: Vec<_> = self.turns().map(Vec::len).collect();
                (told.len() >= 2 && !told.contains(&0), format!("{told:?} by turn"))
            }
            E::Usage => self.usage(),
            E::NoError => (self.errors.is_empty(), self.errors.join("; ")),
        }
    }

    /// Messages of the turns that are over.
    fn turns(&self) -> impl Iterator<Item = &Vec<String>> {
        self.messages.iter().take(self.usages.len())
    }

    fn memory(&self) -> (bool, String) {
        let Some(said) = self.turns().nth(1) else { return (false, "no second turn".to_owned()) };
        let met = said.iter().any(|text| text.contains(&self.word));
        (met, said.last().cloned().unwrap_or_else(|| "it said nothing".to_owned()))
    }

    fn usage(&self) -> (bool, String) {
        let told = |usage: &Usage| format!("{} in, {} out", usage.input_tokens, usage.output_tokens);
        let all = self.usages.iter().all(|usage| usage.input_tokens > 0 && usage.output_tokens > 0);
        let detail = self.usages.iter().map(told).collect::<Vec<_>>().join("; ");
        (self.usages.len() >= 2 && all, detail)
    }
}

#[cfg(test)]
#[path = "observed_tests.rs"]
mod tests;
