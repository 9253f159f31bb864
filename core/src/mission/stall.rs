//! The clock of a turn that says nothing.
//!
//! It runs while a turn runs and nothing is printed, and stands still while the harness waits for somebody's answer: a
//! silence is then not its own. A tool at work may be silent for long (a build, workers of its own), so that has a
//! limit of its own. What a new daemon has not seen it does not count: its clock begins with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use sandboxed_domain::harness::{FileStamp, HarnessEvent};
use sandboxed_domain::mission::MissionStatus;
use tokio::time::Instant;
use uuid::Uuid;

use super::settings::MissionSettings;
use crate::store::{self, MissionRow, RunRow, Store, StoreError};
use crate::workspace::Live;

/// Most processes that are named as evidence.
const NAMED: usize = 8;

/// See the module.
pub(super) struct Quiet {
    since: Instant,
    /// What the harness prints for people.
    words: PathBuf,
    /// When that file was last looked at, and how it was.
    looked: Instant,
    seen: Option<FileStamp>,
    tools: BTreeSet<String>,
}

impl Quiet {
    /// The clock of a run that is followed from now on, knowing the tools that are at work.
    pub async fn of(store: &Store, run: &RunRow, words: PathBuf) -> Result<Self, StoreError> {
        let mission = run.mission_id;
        let tools = store.read(move |c| store::open_tools(c, mission)).await?;
        let now = Instant::now();
        let seen = std::fs::metadata(&words).ok().map(|found| store::stamp_of(&found));
        Ok(Self { since: now, words, looked: now, seen, tools })
    }

    /// It said something.
    pub fn heard(&mut self, events: &[HarnessEvent]) {
        self.since = Instant::now();
        for event in events {
            match event {
                HarnessEvent::ToolCall { id, .. } => drop(self.tools.insert(id.clone())),
                HarnessEvent::ToolResult { id, .. } => drop(self.tools.remove(id)),
                HarnessEvent::TurnEnded { .. } => self.tools.clear(),
                _ => {}
            }
        }
    }

    /// When the turn has stalled unless something happens; none while it may be silent.
    pub fn due(&mut self, settings: &MissionSettings, row: &MissionRow, turn_runs: bool) -> Option<Instant> {
        if !turn_runs || row.status != MissionStatus::Active {
            self.since = Instant::now();
            return None;
        }
        Some(self.since + settings.stall(&row.backend, !self.tools.is_empty())?)
    }

    /// Moves the clock to the last time that a file grew: what is printed for people is a sign of life too. When that
    /// was is the wall clock's word, where it can be: not before the last look. Otherwise the clock was set, and it
    /// counts from now.
    pub fn look_at_words(&mut self) {
        let Ok(found) = std::fs::metadata(&self.words) else { return };
        let (now, stamp) = (Instant::now(), store::stamp_of(&found));
        let before = std::mem::replace(&mut self.looked, now);
        if self.seen.replace(stamp) == Some(stamp) || found.len() == 0 {
            return;
        }
        let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        let told = age.and_then(|age| now.checked_sub(age)).filter(|at| *at >= before);
        self.since = self.since.max(told.unwrap_or(now));
    }

    /// What speaks for a stall, in one line.
    pub async fn evidence(&self, store: &Store, mission: Uuid, run: &str, sandbox: &Live) -> String {
        let last = store.read(move |c| store::last_event_type(c, mission)).await.ok().flatten();
        let what = match self.tools.len() {
            0 => "no tool at work".to_owned(),
            1 => "a tool at work".to_owned(),
            many => format!("{many} tools at work"),
        };
        format!(
            "silent for {} s with {what}, no request pending; last event: {}; {}",
            self.since.elapsed().as_secs(),
            last.as_deref().unwrap_or("none"),
            life(sandbox, run)
        )
    }
}

/// Processes of the run and the processor time that it used.
fn life(sandbox: &Live, run: &str) -> String {
    let Some((cpu, states)) = sandbox.life(run) else { return "its processes are not to be seen".to_owned() };
    let named = states.iter().take(NAMED).map(|(name, state)| format!("{name} {state}")).collect::<Vec<_>>();
    let more = if states.len() > named.len() { ", …" } else { "" };
    format!("{} processes ({}{more}) used {:.1} s of CPU", states.len(), named.join(", "), cpu.as_secs_f64())
}
