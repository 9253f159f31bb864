//! Programs started in a desktop, and their windows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::error::{Code, Problem, Result};
use crate::see::{WindowView, windows};
use crate::session::{Desktop, Exit, Running};
use crate::x::Happened;

/// Exit code of a shell that did not find a command.
const NOT_FOUND: i32 = 127;

/// Most characters that are told of what a program wrote that has ended: mostly the reason is in it.
pub const ENDED_OUTPUT: usize = 4000;
/// And of what one wrote that runs.
pub const RUNNING_OUTPUT: usize = 600;

/// What came of a start.
#[derive(Debug)]
pub enum Launched {
    /// It has a window.
    Window(WindowView),
    /// It runs, without a window so far.
    Running,
    /// It has ended already, well.
    Ended(Exit),
}

/// Starts a shell command, and waits for a window that was not there before.
///
/// # Errors
/// `not_installed`, `not_started` with what it said.
pub async fn launch(
    desktop: &Desktop,
    command: &str,
    directory: PathBuf,
    env: &BTreeMap<String, String>,
    wait: Duration,
) -> Result<(Running, Launched)> {
    let mut happened = desktop.happenings().listen();
    let before: BTreeSet<u32> = look(desktop).await?.iter().map(|window| window.id).collect();
    let running = desktop.launch(command, directory, env).await?;
    let mut started = running.started().clone();
    let window = async {
        loop {
            if let Some(new) = look(desktop).await?.into_iter().find(|window| !before.contains(&window.id)) {
                return Ok(new);
            }
            match happened.recv().await {
                Ok(Happened::Ended) | Err(RecvError::Closed) => {
                    return Err(Problem::new(Code::DesktopEnded, "the desktop has ended"));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
            }
        }
    };
    let launched = tokio::select! {
        window = window => Launched::Window(window?),
        exit = started.ended() => ended(command, exit, &running.output(ENDED_OUTPUT).await)?,
        () = tokio::time::sleep(wait) => Launched::Running,
    };
    Ok((running, launched))
}

async fn look(desktop: &Desktop) -> Result<Vec<WindowView>> {
    desktop.eyes().run(|eyes| windows(eyes.display())).await
}

fn ended(command: &str, exit: Exit, output: &str) -> Result<Launched> {
    match exit.code {
        // Some hand over to one that runs already, or put themselves into the background.
        Some(0) => Ok(Launched::Ended(exit)),
        Some(NOT_FOUND) => {
            Err(Problem::new(Code::NotInstalled, format!("{command:?} was not found: {output}"))
                .field("command"))
        }
        _ => Err(Problem::new(Code::NotStarted, format!("{command:?} ended with {exit}: {output}"))
            .field("command")),
    }
}
