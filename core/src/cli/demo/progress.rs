//! How progress looks: a bar and a line for each worker on a terminal, else plain lines when something changes.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sandboxed_domain::api::BuildProgress;
use uuid::Uuid;

use crate::cli::out;

/// How often a line's spinner moves on a terminal.
const TICK: Duration = Duration::from_millis(120);
/// Percent between two plain lines of a build.
const STEP: u8 = 10;

/// Where progress goes.
pub(super) struct Progress {
    bars: Option<MultiProgress>,
    lines: HashMap<Uuid, ProgressBar>,
    said: HashMap<Uuid, String>,
}

impl Progress {
    /// For this process's stderr.
    pub(super) fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, lines: HashMap::new(), said: HashMap::new() }
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
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(100));
            bar.set_style(style("  image [{bar:30}] {percent:>3} %  {elapsed}  {msg}"));
            bar.enable_steady_tick(TICK);
            bar
        });
        BuildBar { bar, said: None }
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

/// The bar of a build.
pub(super) struct BuildBar {
    bar: Option<ProgressBar>,
    said: Option<u8>,
}

impl BuildBar {
    /// Shows a step.
    pub(super) fn step(&mut self, step: &BuildProgress) {
        let text = out::one_line(&step.line(), 80);
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(step.percent));
            bar.set_message(text);
            return;
        }
        if self.said.is_none_or(|said| step.percent / STEP > said / STEP) {
            out::say(&format!("  image {:>3} %  {text}", step.percent));
            self.said = Some(step.percent);
        }
    }

    /// Takes it away; whether anything had to be built.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A template that indicatif cannot read would be a plain line instead of a panic.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
