//! Where to point at an element, once that is certain: it stays where it is, and what is there is its program's.

use std::time::Duration;

use super::Element;
use crate::act::Hands;
use crate::error::{Code, Problem, Result};
use crate::see::is_at;
use crate::session::Desktop;

/// Longest time that a window takes to come to rest, or that one takes to go out of the way.
const COMING: Duration = Duration::from_secs(10);
/// Then it is looked at again, told or not: programs do not tell that their windows were moved.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The middle of what can be seen of an element, scrolled there when it is out of sight. A program that has just opened
/// a window tells places in it that it does not have yet.
///
/// # Errors
/// `not_actionable`: it is nowhere, never rests, or is behind another program's window.
pub async fn reach(desktop: &Desktop, element: &Element) -> Result<(i32, i32)> {
    let process = desktop.elements().bus().await?.process(&element.object.name).await?;
    let mut changes = desktop.elements().changes().await?;
    let reached = async {
        let mut now = element.clone();
        loop {
            let place = desktop.elements().bring_into_sight(&now).await?.center();
            let uncovered = desktop.hands().run(move |hands| is_free(hands, process, place)).await?;
            now = desktop.elements().again(&element.object).await?;
            let rests = now.seen.is_some_and(|seen| seen.center() == place);
            if rests && uncovered {
                return Ok(place);
            }
            if let Ok(told) = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await {
                told.map_err(|_| Problem::new(Code::DesktopEnded, "the desktop has ended"))?;
            }
        }
    };
    tokio::time::timeout(COMING, reached).await.unwrap_or_else(|_| Err(out_of_reach()))
}

/// What is dragged lies over everything, so that with a button down nothing can be said; neither can it of a program
/// whose windows are another's.
fn is_free(hands: &mut Hands, process: u32, place: (i32, i32)) -> Result<bool> {
    let dragging = hands.buttons().next().is_some();
    Ok(dragging || is_at(hands.display(), process, place)?.unwrap_or(true))
}

fn out_of_reach() -> Problem {
    Problem::new(Code::NotActionable, "another window is in front of it, or it does not stay where it is")
        .hint("look with screenshot; focus its window or close the other with manage_window")
}
