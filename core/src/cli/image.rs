//! The image of a workspace, made while somebody waits: a bar on a terminal, else a line now and then.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sandboxed_client::Client;
use sandboxed_domain::api::{ApiError, BuildProgress, WorkspaceKind, WorkspaceView};

use super::out;

/// How often what moves on a terminal does so.
pub(super) const TICK: Duration = Duration::from_millis(120);
/// Percent between two plain lines.
const STEP: u8 = 10;

/// Makes the image of a workspace's template as it is now.
///
/// # Errors
/// The build's.
pub(super) async fn build(client: &Client, workspace: &str) -> Result<WorkspaceView, ApiError> {
    let bars = bars();
    let mut bar = BuildBar::new(bars.as_ref());
    let built = client.build_workspace(workspace, |step| bar.step(&step)).await;
    bar.end();
    built
}

/// Makes the image of a workspace that has none yet. Its first start would as well, and tell nothing meanwhile.
///
/// # Errors
/// The build's.
pub(super) async fn ensure(client: &Client, workspace: &str) -> Result<(), ApiError> {
    if lacks_image(client, workspace).await? {
        build(client, workspace).await?;
    }
    Ok(())
}

/// The same for a command whose output somebody may want alone: without a terminal there is one line.
///
/// # Errors
/// The build's.
pub(super) async fn ensure_quietly(client: &Client, workspace: &str) -> Result<(), ApiError> {
    if std::io::stderr().is_terminal() {
        return ensure(client, workspace).await;
    }
    if lacks_image(client, workspace).await? {
        let mut said = false;
        let tell = |_| {
            if !std::mem::replace(&mut said, true) {
                out::say(&format!("making the image of {workspace} first, which takes a few minutes"));
            }
        };
        client.build_workspace(workspace, tell).await?;
    }
    Ok(())
}

async fn lacks_image(client: &Client, workspace: &str) -> Result<bool, ApiError> {
    let view = client.workspace(workspace).await?;
    Ok(view.kind == WorkspaceKind::Container && view.image.is_none())
}

/// Where bars go, if this process has a terminal for them.
pub(super) fn bars() -> Option<MultiProgress> {
    std::io::stderr().is_terminal().then(MultiProgress::new)
}

/// A template that indicatif cannot read would be a plain line instead of a panic.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// The bar of a build.
pub(super) struct BuildBar {
    bar: Option<ProgressBar>,
    said: Option<u8>,
}

impl BuildBar {
    /// One among other bars, or plain lines.
    pub(super) fn new(bars: Option<&MultiProgress>) -> Self {
        let bar = bars.map(|bars| {
            let bar = bars.add(ProgressBar::new(100));
            bar.set_style(style("  image [{bar:30}] {percent:>3} %  {elapsed}  {msg}"));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, said: None }
    }

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

    /// Takes it away.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
