//! Between a click and keys: the window manager gives the keyboard to the window that was clicked when it comes to it, and
//! a browser finds out aside what is at that place. Keys would overtake both, and go to where the focus was.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::asked::Asked;
use super::hands::Hands;
use super::typing::NOTICED;
use crate::error::{Code, Problem, Result};
use crate::see::{windows, windows_at};
use crate::session::Desktop;
use crate::x::Happened;

/// How long after a click a window has to get the keyboard. Some never do, such as a button's whose dialog has it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits until keys go to what was clicked last, if nobody has waited for that yet.
///
/// # Errors
/// `desktop_ended`.
pub async fn settle(desktop: &Desktop) -> Result<()> {
    let Some((clicked, place)) = desktop.hands().run(Hands::take_click).await? else { return Ok(()) };
    if let Ok(focused) = timeout_at(clicked + PATIENCE, has_keyboard(desktop, place)).await {
        focused?;
    }
    let Some(focus) = desktop.hands().run(|hands| Ok(hands.focus().ok())).await? else { return Ok(()) };
    let asked = Asked::of(desktop, focus).await?;
    let begun = Instant::now();
    if asked.can_be_asked() && asked.has_caught_up(desktop).await? == Some(true) {
        sleep_until(clicked + NOTICED + 4 * begun.elapsed()).await;
    }
    Ok(())
}

/// Waits until the window at a place has the keyboard.
async fn has_keyboard(desktop: &Desktop, place: (i32, i32)) -> Result<()> {
    let mut happened = desktop.happenings().listen();
    while !desktop.hands().run(move |hands| is_active(hands, place)).await? {
        match happened.recv().await {
            Ok(Happened::Ended) | Err(RecvError::Closed) => {
                return Err(Problem::new(Code::DesktopEnded, "the desktop has ended"));
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
    Ok(())
}

/// Whether it has; also when none is there, or a menu, which the window manager has no part in.
fn is_active(hands: &mut Hands, place: (i32, i32)) -> Result<bool> {
    let display = hands.display();
    let at = windows_at(display, place)?;
    let all = windows(display)?;
    Ok(all.iter().find(|window| at.contains(&window.id)).is_none_or(|window| window.active))
}
