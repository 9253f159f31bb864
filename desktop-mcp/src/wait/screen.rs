//! Waiting for the screen: until nothing was painted for a time, until a part of it looks different.

use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::see::{Change, changes};
use crate::session::Desktop;
use crate::x::Happened;

/// The next time that something is painted in `area`: where, or all of it when that is not known.
///
/// # Errors
/// `desktop_ended`.
pub async fn next_paint(happened: &mut Receiver<Happened>, area: Rect) -> Result<Rect> {
    loop {
        match happened.recv().await {
            Ok(Happened::Painted(painted)) => {
                if let Some(common) = painted.common(&area) {
                    return Ok(common);
                }
            }
            // Everything is new, or some were missed.
            Ok(Happened::Resized(screen)) => return Ok(area.common(&screen).unwrap_or(area)),
            Err(RecvError::Lagged(_)) => return Ok(area),
            Ok(Happened::Windows | Happened::Framed(_) | Happened::Clipboard | Happened::Answered(_)) => {}
            Ok(Happened::Ended) | Err(RecvError::Closed) => {
                return Err(Problem::new(Code::DesktopEnded, "the desktop has ended"));
            }
        }
    }
}

/// Waits until nothing was painted in `area` for a time. `last` is where something was painted last.
///
/// # Errors
/// `desktop_ended`.
pub async fn still(desktop: &Desktop, area: Rect, quiet: Duration, last: &mut Option<Rect>) -> Result<()> {
    let mut happened = desktop.happenings().listen();
    loop {
        match tokio::time::timeout(quiet, next_paint(&mut happened, area)).await {
            Ok(painted) => *last = Some(painted?),
            Err(_) => return Ok(()),
        }
    }
}

/// Waits until `area` looks different than now; where.
///
/// # Errors
/// `off_screen`, `desktop_ended`.
pub async fn change(desktop: &Desktop, area: Rect) -> Result<Vec<Rect>> {
    let mut happened = desktop.happenings().listen();
    let before = desktop.eyes().run(move |eyes| eyes.look(area)).await?;
    loop {
        next_paint(&mut happened, area).await?;
        // What is painted is often what was there.
        let now = desktop.eyes().run(move |eyes| eyes.look(area)).await?;
        match changes(&before, &now) {
            Change::None => {}
            Change::Within(places) => return Ok(places),
            Change::Incomparable => return Ok(vec![now.area]),
        }
    }
}
