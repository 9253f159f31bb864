//! A question to the window manager. It does one thing after the other: when it has answered, it has also done what it was
//! asked to do before.

use std::sync::Arc;

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, Window, WindowClass,
};

use super::Display;
use crate::error::{Result, x_failed};

/// The question that programs have for before they show a window: how wide its frame would be. It is about a window of its
/// own, so that an answer which comes late is no other question's.
#[derive(Debug)]
pub struct Question {
    display: Arc<Display>,
    window: Window,
}

impl Question {
    /// Asks it. None when no window manager says that it answers.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub(super) fn ask(display: &Arc<Display>) -> Result<Option<Self>> {
        let (conn, root, atoms) = (&display.conn, display.root, &display.atoms);
        if !display.numbers(root, atoms._NET_SUPPORTED)?.contains(&atoms._NET_REQUEST_FRAME_EXTENTS) {
            return Ok(None);
        }
        let window = conn.generate_id().map_err(x_failed)?;
        let listening = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        // Never shown: all of it is its parent's.
        conn.create_window(0, window, root, 0, 0, 1, 1, 0, WindowClass::INPUT_OUTPUT, 0, &listening)
            .map_err(x_failed)?;
        let question = Self { display: Arc::clone(display), window };
        let message = ClientMessageEvent::new(32, window, atoms._NET_REQUEST_FRAME_EXTENTS, [0; 5]);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        conn.send_event(false, root, mask, message).map_err(x_failed)?;
        conn.flush().map_err(x_failed)?;
        Ok(Some(question))
    }

    /// The window that it is about.
    pub fn window(&self) -> Window {
        self.window
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Ok(cookie) = self.display.conn.destroy_window(self.window) {
            cookie.ignore_error();
        }
        let _ = self.display.conn.flush();
    }
}
