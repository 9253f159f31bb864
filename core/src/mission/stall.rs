//! The clock of a turn that says nothing.
//!
//! It runs while a turn runs and nothing is printed, and stands still while the harness waits for somebody's answer: a
//! silence is then not its own. A tool at work may be silent for long (a build, workers of its own), so that has a
//! limit of its own. What a new daemon has not seen it does not count: its clock begins with it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use sandboxed_domain::harness::HarnessEvent;
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
    tools: BTreeSet<String>,
}

impl Quiet {
    /// The clock of a run that is followed from now on, knowing the tools that are at work.
    pub async fn of(store: &Store, run: &RunRow) -> Result<Self, StoreError> {
        let (mission, started) = (run.mission_id, run.started_at);
        let tools = store.read(move |c| store::open_tools(c, mission, started)).await?;
        Ok(Self { since: Instant::now(), tools })
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

    /// Moves the clock to the last time that a file grew: what is printed for people is a sign of life too.
    pub fn saw_file(&mut self, path: &Path) {
        let age = |path: &Path| {
            SystemTime::now().duration_since(std::fs::metadata(path).ok()?.modified().ok()?).ok()
        };
        if let Some(at) = age(path).and_then(|age| Instant::now().checked_sub(age)) {
            self.since = self.since.max(at);
        }
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
