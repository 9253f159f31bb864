//! Windows moved about: asked of the window manager, then waited for until it is so. A manager says first that a window is
//! maximized and gives it its new size then, so it is asked whether it is done.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use x11rb::protocol::xproto::Window;

use super::hands::Hands;
use super::manager::has_caught_up;
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::see::{State, WindowView, windows};
use crate::session::Desktop;
use crate::x::Happened;

/// How long the window manager, or the program, has.
const PATIENCE: Duration = Duration::from_secs(5);
/// Asked for by a pager: window managers obey.
const PAGER: u32 = 2;

/// What is to become of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// To the top, with the keyboard; also brings back what is minimized
    Focus,
    /// To x, y
    Move,
    /// Its frame to width, height
    Resize,
    /// As large as the screen
    Maximize,
    /// Out of sight
    Minimize,
    /// Neither maximized nor full screen
    Restore,
    /// As its close button does
    Close,
}

impl Wish {
    /// Whether the window manager alone decides; the others take the program's part in it.
    fn is_managers(self) -> bool {
        match self {
            Self::Move | Self::Resize | Self::Maximize | Self::Minimize | Self::Restore => true,
            Self::Focus | Self::Close => false,
        }
    }
}

/// What has become of it.
#[derive(Debug)]
pub enum Became {
    /// It is as was wished.
    Done(WindowView),
    /// It is not, or not yet.
    Otherwise(WindowView),
    /// It is gone.
    Gone,
}

/// Asks for it and waits until it is so.
///
/// # Errors
/// `desktop_ended`.
pub async fn manage(desktop: &Desktop, window: WindowView, wish: Wish, place: Rect) -> Result<Became> {
    let mut happened = desktop.happenings().listen();
    let (id, end) = (window.id, Instant::now() + PATIENCE);
    desktop.hands().run(move |hands| ask(hands, &window, wish, place)).await?;
    let final_word = has_caught_up(desktop, end).await? == Some(true) && wish.is_managers();
    let waiting = async {
        loop {
            let Some(now) = look(desktop, id).await? else { return Ok(Became::Gone) };
            if fulfilled(&now, wish, place) {
                return Ok(Became::Done(now));
            }
            if final_word {
                return Ok(Became::Otherwise(now));
            }
            match happened.recv().await {
                Ok(Happened::Ended) | Err(RecvError::Closed) => {
                    return Err(Problem::new(Code::DesktopEnded, "the desktop has ended"));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
            }
        }
    };
    match timeout_at(end, waiting).await {
        Ok(became) => became,
        Err(_) => Ok(look(desktop, id).await?.map_or(Became::Gone, Became::Otherwise)),
    }
}

async fn look(desktop: &Desktop, id: Window) -> Result<Option<WindowView>> {
    let all = desktop.hands().run(|hands| windows(hands.display())).await?;
    Ok(all.into_iter().find(|window| window.id == id))
}

fn ask(hands: &mut Hands, window: &WindowView, wish: Wish, place: Rect) -> Result<()> {
    let atoms = &hands.display().atoms;
    let id = window.id;
    let state = |add: bool, one: u32, other: u32| [u32::from(add), one, other, PAGER, 0];
    let maximized = (atoms._NET_WM_STATE_MAXIMIZED_HORZ, atoms._NET_WM_STATE_MAXIMIZED_VERT);
    // The place of the frame, not of what is in it; then which of x, y, width, height are given.
    let move_resize = |given: u32, place: Rect| {
        let corner = |value: i32| u32::from_ne_bytes(value.to_ne_bytes());
        let north_west = 1;
        let flags = north_west | given << 8 | PAGER << 12;
        [flags, corner(place.x), corner(place.y), place.width, place.height]
    };
    match wish {
        Wish::Focus => hands.ask_manager(id, atoms._NET_ACTIVE_WINDOW, [PAGER, 0, 0, 0, 0]),
        Wish::Move => hands.ask_manager(id, atoms._NET_MOVERESIZE_WINDOW, move_resize(0b0011, place)),
        Wish::Resize => {
            let around = |frame: u32, inner: u32| frame.saturating_sub(inner);
            let width = place.width.saturating_sub(around(window.frame.width, window.inner.width)).max(1);
            let height = place.height.saturating_sub(around(window.frame.height, window.inner.height)).max(1);
            let inner = Rect::new(place.x, place.y, width, height);
            hands.ask_manager(id, atoms._NET_MOVERESIZE_WINDOW, move_resize(0b1100, inner))
        }
        Wish::Maximize => hands.ask_manager(id, atoms._NET_WM_STATE, state(true, maximized.0, maximized.1)),
        Wish::Minimize => hands.ask_manager(id, atoms.WM_CHANGE_STATE, [3, 0, 0, 0, 0]),
        Wish::Restore => {
            hands.ask_manager(id, atoms._NET_WM_STATE, state(false, maximized.0, maximized.1))?;
            hands.ask_manager(id, atoms._NET_WM_STATE, state(false, atoms._NET_WM_STATE_FULLSCREEN, 0))
        }
        Wish::Close => hands.ask_manager(id, atoms._NET_CLOSE_WINDOW, [0, PAGER, 0, 0, 0]),
    }
}

fn fulfilled(now: &WindowView, wish: Wish, place: Rect) -> bool {
    let has = |state: State| now.states.contains(&state);
    match wish {
        Wish::Focus => now.active && !now.is_minimized(),
        Wish::Move => (now.frame.x, now.frame.y) == (place.x, place.y),
        // Terminals have whole rows and columns only.
        Wish::Resize => {
            now.frame.width.abs_diff(place.width) < 32 && now.frame.height.abs_diff(place.height) < 32
        }
        Wish::Maximize => has(State::Maximized),
        Wish::Minimize => has(State::Minimized),
        Wish::Restore => !has(State::Maximized) && !has(State::Fullscreen),
        Wish::Close => false,
    }
}
