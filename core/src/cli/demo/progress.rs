//! How progress looks: a bar and a line for each worker on a terminal, else plain lines when something changes.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar};
use uuid::Uuid;

use crate::cli::image::{BuildBar, TICK, bars, style};
use crate::cli::out;

/// Where progress goes.
pub(super) struct Progress {
    bars: Option<MultiProgress>,
    lines: HashMap<Uuid, ProgressBar>,
    said: HashMap<Uuid, String>,
}

impl Progress {
    /// For this process's stderr.
    pub(super) fn new() -> Self {
        Self { bars: bars(), lines: HashMap::new(), said: HashMap::new() }
    }

    /// A line of talk, above whatever moves.
    pub(super) fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| out::say(text)),
            None => out::say(text),
        }
    }

    /// The bar of an image's build.
    pub(super) fn build(&self) -> BuildBar {
        BuildBar::new(self.bars.as_ref())
    }

    /// The line of a worker: what it does, and whether that is its end.
    pub(super) fn worker(&mut self, id: Uuid, name: &str, state: &str, activity: &str, seconds: u64) {
        let shown = out::one_line(activity, 60);
        let Some(bars) = &self.bars else {
            let text = format!("  {name:<10} {state:<12} {shown}").trim_end().to_owned();
            if self.said.get(&id) != Some(&text) {
                out::say(&text);
                self.said.insert(id, text);
            }
            return;
        };
        let line = self.lines.entry(id).or_insert_with(|| {
            let line = bars.add(ProgressBar::new_spinner());
            line.set_style(style("  {spinner} {msg}"));
            line.enable_steady_tick(TICK);
            line
        });
        line.set_message(format!("{name:<10} {state:<12} {seconds:>4} s  {shown}"));
    }

    /// A worker's line is not needed any more.
    pub(super) fn finished(&mut self, id: Uuid) {
        if let Some(line) = self.lines.remove(&id) {
            line.finish_and_clear();
        }
    }

    /// Takes everything that moves away.
    pub(super) fn clear(&mut self) {
        for (_, line) in self.lines.drain() {
            line.finish_and_clear();
        }
    }
}
