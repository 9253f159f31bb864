//! The windows of a desktop, as its window manager lists them.

use schemars::JsonSchema;
use serde::Serialize;
use x11rb::protocol::xproto::{ConnectionExt as _, Window};

use crate::error::{Code, Problem, Result, x_failed};
use crate::geometry::Rect;
use crate::x::Display;

/// Longest title that is told, in characters.
const LONGEST_TITLE: usize = 200;

/// One window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowView {
    /// Its number.
    pub id: Window,
    /// Its title.
    pub title: String,
    /// Class of its program.
    pub class: String,
    /// Process that it says it belongs to.
    pub pid: Option<u32>,
    /// Its frame on the screen.
    pub frame: Rect,
    /// What of it belongs to the program.
    pub inner: Rect,
    /// Whether keys go to it.
    pub active: bool,
    /// `maximized`, `minimized`, `fullscreen`, `modal`, `urgent`.
    pub states: Vec<State>,
}

/// How a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In both directions.
    Maximized,
    /// Not to be seen.
    Minimized,
    /// Without a frame, over everything.
    Fullscreen,
    /// A dialog that others wait for.
    Modal,
    /// Wants to be looked at.
    Urgent,
}

impl WindowView {
    /// As tools name it.
    pub fn name(&self) -> String {
        format!("{:#x}", self.id)
    }

    /// Whether it is not to be seen.
    pub fn is_minimized(&self) -> bool {
        self.states.contains(&State::Minimized)
    }
}

/// All windows, topmost first. Those that go while they are read are left out.
///
/// # Errors
/// `desktop_ended`.
pub fn windows(display: &Display) -> Result<Vec<WindowView>> {
    let (root, atoms) = (display.root, &display.atoms);
    let mut ids = display.numbers(root, atoms._NET_CLIENT_LIST_STACKING)?;
    ids.reverse();
    let active = display.numbers(root, atoms._NET_ACTIVE_WINDOW)?.first().copied();
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        match window(display, id, active) {
            Ok(window) => found.push(window),
            Err(problem) if problem.code == Code::UnknownWindow => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(found)
}

fn window(display: &Display, id: Window, active: Option<Window>) -> Result<WindowView> {
    let (conn, atoms) = (&display.conn, &display.atoms);
    let geometry = conn.get_geometry(id).map_err(x_failed)?;
    let place = conn.translate_coordinates(id, display.root, 0, 0).map_err(x_failed)?;
    let geometry = geometry.reply().map_err(x_failed)?;
    let place = place.reply().map_err(x_failed)?;
    let inner =
        Rect::new(place.dst_x.into(), place.dst_y.into(), geometry.width.into(), geometry.height.into());
    let extents = display.numbers(id, atoms._NET_FRAME_EXTENTS)?;
    let mut title = display.property(id, atoms._NET_WM_NAME)?;
    if title.is_empty() {
        title = display.property(id, atoms.WM_NAME)?;
    }
    let class = display.property(id, atoms.WM_CLASS)?;
    let class = class.split(|byte| *byte == 0).rfind(|part| !part.is_empty()).unwrap_or_default();
    Ok(WindowView {
        id,
        title: String::from_utf8_lossy(&title).chars().take(LONGEST_TITLE).collect(),
        class: String::from_utf8_lossy(class).into_owned(),
        pid: display.numbers(id, atoms._NET_WM_PID)?.first().copied(),
        frame: framed(inner, &extents),
        inner,
        active: active == Some(id),
        states: states(display, id)?,
    })
}

/// Left, right, top and bottom edge around it.
fn framed(inner: Rect, extents: &[u32]) -> Rect {
    let [left, right, top, bottom] = extents else { return inner };
    Rect::new(
        inner.x.saturating_sub_unsigned(*left),
        inner.y.saturating_sub_unsigned(*top),
        inner.width.saturating_add(*left).saturating_add(*right),
        inner.height.saturating_add(*top).saturating_add(*bottom),
    )
}

fn states(display: &Display, id: Window) -> Result<Vec<State>> {
    let atoms = &display.atoms;
    let set = display.numbers(id, atoms._NET_WM_STATE)?;
    let has = |atom: u32| set.contains(&atom);
    let maximized = has(atoms._NET_WM_STATE_MAXIMIZED_HORZ) && has(atoms._NET_WM_STATE_MAXIMIZED_VERT);
    let all = [
        (maximized, State::Maximized),
        (has(atoms._NET_WM_STATE_HIDDEN), State::Minimized),
        (has(atoms._NET_WM_STATE_FULLSCREEN), State::Fullscreen),
        (has(atoms._NET_WM_STATE_MODAL), State::Modal),
        (has(atoms._NET_WM_STATE_DEMANDS_ATTENTION), State::Urgent),
    ];
    Ok(all.into_iter().filter(|(is, _)| *is).map(|(_, state)| state).collect())
}

/// The window that is meant: by its number, as list_windows tells it, or by a part of its title or its class.
///
/// # Errors
/// `unknown_window`, `not_unique`.
pub fn find_window(display: &Display, meant: &str) -> Result<WindowView> {
    let all = windows(display)?;
    let number = meant.strip_prefix("0x").and_then(|hex| Window::from_str_radix(hex, 16).ok());
    if let Some(number) = number {
        return all.into_iter().find(|window| window.id == number).ok_or_else(|| unknown(meant));
    }
    let wanted = meant.to_lowercase();
    let fits = |window: &&WindowView| {
        window.title.to_lowercase().contains(&wanted) || window.class.to_lowercase() == wanted
    };
    let found: Vec<_> = all.iter().filter(fits).collect();
    match found.as_slice() {
        [] => Err(unknown(meant)),
        [one] => Ok((*one).clone()),
        several => match several.iter().find(|window| window.title == meant) {
            Some(exact) => Ok((*exact).clone()),
            None => {
                let names: Vec<_> = several.iter().map(|w| format!("{} {:?}", w.name(), w.title)).collect();
                let message = format!("{meant:?} fits {} windows: {}", names.len(), names.join(", "));
                Err(Problem::new(Code::NotUnique, message).field("window").hint("give one's number"))
            }
        },
    }
}

fn unknown(meant: &str) -> Problem {
    Problem::new(Code::UnknownWindow, format!("there is no window {meant:?}")).field("window")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_around_its_window() {
        let inner = Rect::new(10, 30, 100, 50);
        assert_eq!(framed(inner, &[1, 2, 20, 4]), Rect::new(9, 10, 103, 74));
        assert_eq!(framed(inner, &[]), inner, "undecorated");
    }
}
