//! Where of an element can be seen and pointed at.

use std::time::Duration;

use atspi::{ObjectRefOwned, Role};

use super::read::{SCREEN, rect};
use super::walk::clips;
use super::{Bus, Element, Elements, Object};
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;

/// Longest way from an element up to its window.
const HIGHEST: usize = 96;
/// "Anywhere" as the place to scroll something to.
const ANYWHERE: u32 = 6;
/// Longest time that a program takes to scroll.
const SCROLLING: Duration = Duration::from_secs(10);
/// Then it is looked at again, told or not: a browser moves its page without an event of its own when it has none due.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What can be seen of an object at `place`: what is within all that it is in.
pub async fn seen(bus: &Bus, object: &Object, place: Rect) -> Result<Option<Rect>> {
    let (mut object, mut seen) = (object.clone(), place);
    for _ in 0..HIGHEST {
        let Some(parent) = parent(bus, &object).await? else { break };
        let role: u32 = bus.call(&parent, "Accessible", "GetRole", &()).await?;
        match Role::try_from(role).unwrap_or(Role::Unknown) {
            role if clips(role) == Some(false) => break,
            role if clips(role) == Some(true) => {
                let extents =
                    bus.call::<_, (i32, i32, i32, i32)>(&parent, "Component", "GetExtents", &(SCREEN,));
                match extents.await.ok().and_then(rect).map(|holder| holder.common(&seen)) {
                    Some(Some(common)) => seen = common,
                    Some(None) => return Ok(None),
                    None => {}
                }
            }
            _ => {}
        }
        object = parent;
    }
    Ok(Some(seen))
}

/// What an object is in.
pub async fn parent(bus: &Bus, object: &Object) -> Result<Option<Object>> {
    let parent: ObjectRefOwned = match bus.property(object, "Accessible", "Parent").await {
        Ok(parent) => parent,
        Err(problem) if problem.code == Code::NotActionable => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let name = parent.name_as_str().unwrap_or_default().to_owned();
    Ok(Object::new(name, parent.path().clone().into()))
}

/// Scrolls an element into sight when it is out of it.
pub async fn bring_into_sight(elements: &Elements, element: &Element) -> Result<Rect> {
    if let Some(seen) = element.seen {
        return Ok(seen);
    }
    let object = &element.object;
    let bus = elements.bus().await?;
    let mut changes = elements.changes().await?;
    let scrolled = bus.call::<_, bool>(object, "Component", "ScrollTo", &(ANYWHERE,)).await.unwrap_or(false);
    if !scrolled {
        // What takes the focus is shown.
        let _ = bus.call::<_, bool>(object, "Component", "GrabFocus", &()).await;
    }
    let shown = async {
        loop {
            if let Some(seen) = elements.again(object).await?.seen {
                return Ok(seen);
            }
            if let Ok(told) = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await {
                told.map_err(|_| Problem::new(Code::DesktopEnded, "the desktop has ended"))?;
            }
        }
    };
    tokio::time::timeout(SCROLLING, shown).await.unwrap_or_else(|_| {
        let message = "it is out of sight, and its program does not scroll to it";
        Err(Problem::new(Code::NotActionable, message)
            .hint("scroll with the mouse wheel, then take a new snapshot"))
    })
}
