//! The window manager, waited for: what is told of windows and of the pointer is how it is when it has done what it was
//! asked to do.

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use crate::error::Result;
use crate::session::Desktop;
use crate::x::Happened;

/// Waits until the window manager has taken in all that happened so far; whether it has by `end`. None when it cannot be
/// asked.
///
/// # Errors
/// `desktop_ended`.
pub async fn has_caught_up(desktop: &Desktop, end: Instant) -> Result<Option<bool>> {
    let happenings = desktop.happenings().clone();
    let mut happened = happenings.listen();
    let asked = desktop.hands().run(move |hands| {
        // What the hands have sent comes first.
        hands.display().sync()?;
        happenings.ask_manager()
    });
    let Some(question) = asked.await? else { return Ok(None) };
    let answered = async {
        loop {
            match happened.recv().await {
                Ok(Happened::Framed(window)) if window == question.window() => return true,
                Ok(Happened::Ended) | Err(RecvError::Closed) => return false,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
            }
        }
    };
    Ok(Some(timeout_at(end, answered).await.unwrap_or(false)))
}
