//! A program that may be asked whether it is there: what it has answered to, it has come to in the queue of what happens.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt as _, EventMask, Window};

use super::hands::Hands;
use crate::error::{Result, x_failed};
use crate::see::windows_at;
use crate::session::Desktop;
use crate::x::Happened;

/// How long a program has to answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// What programs that cannot be asked are given.
const UNASKED: Duration = Duration::from_millis(80);

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Its window, if it answers at all.
    window: Option<Window>,
}

impl Asked {
    /// The program whose window this is, or is within.
    pub async fn of(desktop: &Desktop, window: Window) -> Result<Self> {
        let window = desktop.hands().run(move |hands| asked_window(hands, window)).await?;
        Ok(Self { window })
    }

    /// The program whose window is at a place of the screen.
    pub async fn at(desktop: &Desktop, place: (i32, i32)) -> Result<Self> {
        let at = desktop.hands().run(move |hands| Ok(windows_at(hands.display(), place)?.pop())).await?;
        match at {
            Some(window) => Self::of(desktop, window).await,
            None => Ok(Self { window: None }),
        }
    }

    /// Whether it answers at all.
    pub fn can_be_asked(&self) -> bool {
        self.window.is_some()
    }

    /// Whether it has taken in all that happened so far; none when it cannot be asked.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub async fn has_caught_up(&self, desktop: &Desktop) -> Result<Option<bool>> {
        let Some(window) = self.window else {
            tokio::time::sleep(UNASKED).await;
            return Ok(None);
        };
        ping(desktop, window).await.map(Some)
    }
}

fn asked_window(hands: &mut Hands, focus: Window) -> Result<Option<Window>> {
    let display = hands.display();
    let mut window = focus;
    while window != display.root {
        let protocols = display.numbers(window, display.atoms.WM_PROTOCOLS)?;
        if protocols.contains(&display.atoms._NET_WM_PING) {
            return Ok(Some(window));
        }
        window = display.conn.query_tree(window).map_err(x_failed)?.reply().map_err(x_failed)?.parent;
    }
    Ok(None)
}

/// Asks a program for a sign of life; whether it came. A program that hangs does not answer.
async fn ping(desktop: &Desktop, window: Window) -> Result<bool> {
    static LAST: AtomicU32 = AtomicU32::new(1);
    let number = LAST.fetch_add(1, Ordering::Relaxed) | 0x4000_0000;
    let mut happened = desktop.happenings().listen();
    desktop
        .hands()
        .run(move |hands| {
            let display = hands.display();
            let data = [display.atoms._NET_WM_PING, number, window, 0, 0];
            let message = ClientMessageEvent::new(32, window, display.atoms.WM_PROTOCOLS, data);
            display.conn.send_event(false, window, EventMask::NO_EVENT, message).map_err(x_failed)?;
            display.conn.flush().map_err(x_failed)
        })
        .await?;
    let answered = async {
        loop {
            match happened.recv().await {
                Ok(Happened::Answered(answer)) if answer == number => return true,
                Ok(Happened::Ended) | Err(RecvError::Closed) => return false,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
            }
        }
    };
    Ok(tokio::time::timeout(PATIENCE, answered).await.unwrap_or(false))
}
