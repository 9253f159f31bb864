//! What happens on a display, pushed to whoever waits: a connection of its own listens, a thread reads it.

use std::{io, sync::Arc, thread};

use tokio::sync::broadcast;
use x11rb::connection::Connection;
use x11rb::protocol::{
    Event,
    damage::{ConnectionExt as _, ReportLevel},
    randr::{ConnectionExt as _, NotifyMask},
    xfixes::{ConnectionExt as _, SelectionEventMask},
    xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask, Window},
};

use super::{Access, Atoms, Display, Question};
use crate::error::{Problem, Result, x_failed};
use crate::geometry::Rect;

/// How many happenings a slow listener may be behind; it is then told that it missed some.
const BEHIND: usize = 1024;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// Something was painted within this part of the screen.
    Painted(Rect),
    /// Windows came, went, moved, or changed titles or focus.
    Windows,
    /// The screen has another size.
    Resized(Rect),
    /// Somebody else has the clipboard.
    Clipboard,
    /// A program has answered the question of this number whether it is there.
    Answered(u32),
    /// The window manager has told how wide the frame of this window is.
    Framed(Window),
    /// The X server is gone; nothing happens any more.
    Ended,
}

/// The source of happenings; clones are the same.
#[derive(Debug, Clone)]
pub struct Happenings {
    sender: broadcast::Sender<Happened>,
    display: Arc<Display>,
}

impl Happenings {
    /// Listens to a display until its server goes.
    ///
    /// # Errors
    /// `desktop_ended`, or an extension that the server does not have.
    pub fn of(access: &Access) -> Result<Self> {
        let listener = Listener::open(access)?;
        let (sender, _) = broadcast::channel(BEHIND);
        let happenings = Self { sender: sender.clone(), display: Arc::clone(&listener.display) };
        let thread = thread::Builder::new().name("x-events".to_owned()).spawn(move || listener.run(&sender));
        thread.map_err(|error: io::Error| Problem::system("start", "a thread", error))?;
        Ok(happenings)
    }

    /// What happens from now on. An error of the receiver means that it missed some, or [`Happened::Ended`].
    pub fn listen(&self) -> broadcast::Receiver<Happened> {
        self.sender.subscribe()
    }

    /// Asks the window manager whether it is there; [`Happened::Framed`] of the question's window is its answer. None when
    /// there is no window manager that answers.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn ask_manager(&self) -> Result<Option<Question>> {
        Question::ask(&self.display)
    }
}

struct Listener {
    display: Arc<Display>,
}

impl Listener {
    fn open(access: &Access) -> Result<Self> {
        let display = Display::open(access)?;
        for extension in ["DAMAGE", "XFIXES", "RANDR"] {
            display.need(extension)?;
        }
        let (conn, root) = (&display.conn, display.root);
        conn.xfixes_query_version(5, 0).map_err(x_failed)?.reply().map_err(x_failed)?;
        conn.damage_query_version(1, 1).map_err(x_failed)?.reply().map_err(x_failed)?;
        conn.randr_query_version(1, 3).map_err(x_failed)?.reply().map_err(x_failed)?;
        let mask = EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_NOTIFY;
        let attributes = ChangeWindowAttributesAux::new().event_mask(mask);
        conn.change_window_attributes(root, &attributes).map_err(x_failed)?.check().map_err(x_failed)?;
        conn.randr_select_input(root, NotifyMask::SCREEN_CHANGE).map_err(x_failed)?;
        let selection = SelectionEventMask::SET_SELECTION_OWNER;
        conn.xfixes_select_selection_input(root, display.atoms.CLIPBOARD, selection).map_err(x_failed)?;
        let damage = conn.generate_id().map_err(x_failed)?;
        // Raw rectangles: nothing has to be acknowledged, and a slow reader costs nobody anything.
        conn.damage_create(damage, root, ReportLevel::RAW_RECTANGLES).map_err(x_failed)?;
        display.sync()?;
        Ok(Self { display: Arc::new(display) })
    }

    fn run(&self, sender: &broadcast::Sender<Happened>) {
        while let Ok(event) = self.display.conn.wait_for_event() {
            if matches!(&event, Event::PropertyNotify(change) if change.atom == self.display.atoms._NET_CLIENT_LIST)
            {
                self.listen_to_titles();
            }
            if let Some(happened) = read(&event, &self.display.atoms) {
                // Nobody listens at the moment: that is fine.
                let _ = sender.send(happened);
            }
        }
        let _ = sender.send(Happened::Ended);
    }

    /// Titles are properties of the windows themselves. A window that has gone meanwhile is no loss.
    fn listen_to_titles(&self) {
        let Display { conn, atoms, root } = &*self.display;
        let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        for window in self.display.numbers(*root, atoms._NET_CLIENT_LIST).unwrap_or_default() {
            if let Ok(cookie) = conn.change_window_attributes(window, &mask) {
                cookie.ignore_error();
            }
        }
        let _ = conn.flush();
    }
}

fn read(event: &Event, atoms: &Atoms) -> Option<Happened> {
    match event {
        Event::DamageNotify(damage) => {
            let area = damage.area;
            let area = Rect::new(area.x.into(), area.y.into(), area.width.into(), area.height.into());
            Some(Happened::Painted(area))
        }
        Event::RandrScreenChangeNotify(change) => {
            Some(Happened::Resized(Rect::new(0, 0, change.width.into(), change.height.into())))
        }
        Event::ClientMessage(message) if message.type_ == atoms.WM_PROTOCOLS => {
            let [protocol, number, ..] = message.data.as_data32();
            (protocol == atoms._NET_WM_PING).then_some(Happened::Answered(number))
        }
        Event::XfixesSelectionNotify(_) => Some(Happened::Clipboard),
        Event::PropertyNotify(change) if change.atom == atoms._NET_FRAME_EXTENTS => {
            Some(Happened::Framed(change.window))
        }
        Event::PropertyNotify(_)
        | Event::ConfigureNotify(_)
        | Event::MapNotify(_)
        | Event::UnmapNotify(_)
        | Event::DestroyNotify(_) => Some(Happened::Windows),
        _ => None,
    }
}
