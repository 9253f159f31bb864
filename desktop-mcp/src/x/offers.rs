//! What programs say to one another while something is dragged (XDND). The messages are addressed to nobody else, so
//! they are heard by having the X server record them. A program that drags something within itself sends none; that it
//! drags something at all is told by its taking of the selection for what is dragged.

use std::{io, thread};

use tokio::sync::mpsc;
use x11rb::connection::Connection;
use x11rb::protocol::record::{self, ConnectionExt as _, EnableContextReply};
use x11rb::protocol::xproto::{
    CLIENT_MESSAGE_EVENT, ClientMessageEvent, SEND_EVENT_REQUEST, SET_SELECTION_OWNER_REQUEST,
};
use x11rb::rust_connection::RustConnection;
use x11rb::x11_utils::TryParse;

use super::{Access, Atoms, Display};
use crate::error::{Problem, Result, x_failed};

/// Kinds of what a recording gives: requests of programs, and that it has begun.
const FROM_CLIENT: u8 = 1;
const START_OF_DATA: u8 = 4;
/// Where the event is in a request to send it.
const SENT: usize = 12;
/// So much is kept that nobody has heard yet; the server keeps the rest.
const UNHEARD: usize = 256;
/// Set in the kind of events that programs send.
const BY_PROGRAM: u8 = 0x80;

/// Something that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Something is dragged.
    Begun,
    /// The pointer is here now, on the screen; would what is below take it?
    At(i32, i32),
    /// Whether it would.
    Would(bool),
    /// It has been let go over what would take it.
    Dropped,
    /// It has gone elsewhere, or was let go where it would not be taken.
    Left,
    /// Whether it was taken.
    Taken(bool),
}

/// Hears what is said for as long as it is there.
#[derive(Debug)]
pub struct Offers {
    said: mpsc::Receiver<Said>,
    control: RustConnection,
    context: record::Context,
}

impl Offers {
    /// Begins to listen. Blocks until the server has begun to record.
    ///
    /// # Errors
    /// `desktop_ended`, `not_started`: an X server that does not record.
    pub fn listen(access: &Access) -> Result<Self> {
        let (control, display) = (access.connect()?, Display::open(access)?);
        display.need("RECORD")?;
        let context = control.generate_id().map_err(x_failed)?;
        let ranges = [record::Range {
            core_requests: record::Range8 { first: SET_SELECTION_OWNER_REQUEST, last: SEND_EVENT_REQUEST },
            ..Default::default()
        }];
        let clients = [record::CS::ALL_CLIENTS.into()];
        let created = control.record_create_context(context, 0, &clients, &ranges).map_err(x_failed)?;
        created.check().map_err(x_failed)?;
        let (sender, said) = mpsc::channel(UNHEARD);
        let (begun, has_begun) = std::sync::mpsc::channel();
        let thread = thread::Builder::new().name("x-offers".to_owned());
        let thread = thread.spawn(move || read(&display, context, &sender, &begun));
        thread.map_err(|error: io::Error| Problem::system("start", "a thread", error))?;
        has_begun.recv().map_err(|_| Problem::internal("the X server does not record"))?;
        Ok(Self { said, control, context })
    }

    /// What is said next; none when the desktop has gone.
    pub async fn next(&mut self) -> Option<Said> {
        self.said.recv().await
    }
}

impl Drop for Offers {
    /// With the recording its thread ends.
    fn drop(&mut self) {
        if let Ok(cookie) = self.control.record_disable_context(self.context) {
            cookie.ignore_error();
        }
        let _ = self.control.flush();
    }
}

fn read(
    display: &Display,
    context: record::Context,
    sender: &mpsc::Sender<Said>,
    begun: &std::sync::mpsc::Sender<()>,
) {
    let Ok(replies) = display.conn.record_enable_context(context) else { return };
    for reply in replies.map_while(std::result::Result::ok) {
        let EnableContextReply { category, client_swapped, data, .. } = reply;
        match category {
            START_OF_DATA => drop(begun.send(())),
            FROM_CLIENT if !client_swapped => {
                for said in requests(&data).filter_map(|request| understand(request, &display.atoms)) {
                    // Nobody listens any more, and soon the recording ends.
                    let _ = sender.blocking_send(said);
                }
            }
            _ => {}
        }
    }
}

/// The requests that a piece of a recording has: each tells its length, in fours of bytes.
fn requests(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*data.get(2)?, *data.get(3)?])) * 4;
        let (request, rest) = data.split_at_checked(length).filter(|_| length > 0)?;
        data = rest;
        Some(request)
    })
}

fn understand(request: &[u8], atoms: &Atoms) -> Option<Said> {
    let word = |at: usize| Some(u32::from_ne_bytes(request.get(at..at + 4)?.try_into().ok()?));
    match *request.first()? {
        // Nobody owns it when it is over.
        SET_SELECTION_OWNER_REQUEST => {
            (word(8)? == atoms.XdndSelection && word(4)? != 0).then_some(Said::Begun)
        }
        SEND_EVENT_REQUEST if request.get(SENT)? & !BY_PROGRAM == CLIENT_MESSAGE_EVENT => {
            message(&ClientMessageEvent::try_parse(&request[SENT..]).ok()?.0, atoms)
        }
        _ => None,
    }
}

fn message(message: &ClientMessageEvent, atoms: &Atoms) -> Option<Said> {
    let data = message.data.as_data32();
    let kind = message.type_;
    if kind == atoms.XdndPosition {
        let side = |half: u32| i32::from((half & 0xffff) as u16 as i16);
        return Some(Said::At(side(data[2] >> 16), side(data[2])));
    }
    let flag = data[1] & 1 == 1;
    [
        (atoms.XdndStatus, Said::Would(flag)),
        (atoms.XdndDrop, Said::Dropped),
        (atoms.XdndLeave, Said::Left),
        (atoms.XdndFinished, Said::Taken(flag)),
    ]
    .into_iter()
    .find_map(|(of, said)| (kind == of).then_some(said))
}
