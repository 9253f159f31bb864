//! The clipboard, as X programs hand it to one another: who has something to paste owns the selection and answers
//! requests for it; what is larger than a request goes in pieces (INCR). A connection and a thread of its own, because
//! others ask at any time.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask, PropMode,
    Property, PropertyNotifyEvent, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent,
    Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::error::{Code, Problem, Result, x_failed};
use crate::x::{Access, Display};

/// Most bytes that are taken or given.
pub const MOST: usize = 8 << 20;
/// Bytes of a piece. Requests have room for 256 kB at least.
const PIECE: usize = 64 << 10;
/// Most pieces at a time that others are being sent.
const MOST_TRANSFERS: usize = 16;
/// How long the owner of the clipboard has for the next piece.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is on the clipboard, of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nobody has put anything there, or nothing of a kind that is understood.
    Nothing,
    /// Text.
    Text(String),
    /// A picture as PNG.
    Png(Vec<u8>),
}

/// A transfer in pieces to somebody.
struct Transfer {
    kind: Atom,
    content: Arc<[u8]>,
    sent: usize,
}

/// What is being received.
struct Incoming {
    answer: oneshot::Sender<Result<Option<Vec<u8>>>>,
    pieces: Option<Vec<u8>>,
}

#[derive(Default)]
struct State {
    own: Option<Arc<[u8]>>,
    transfers: HashMap<(Window, Atom), Transfer>,
    incoming: Option<Incoming>,
}

struct Inner {
    display: Display,
    window: Window,
    png: Atom,
    state: Mutex<State>,
}

/// The clipboard of one desktop; clones are the same.
#[derive(Clone)]
pub struct Clipboard {
    inner: Arc<Inner>,
    /// One question at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for Clipboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clipboard")
    }
}

impl Clipboard {
    /// Connects. The thread ends with the X server.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn open(access: &Access) -> Result<Self> {
        let display = Display::open(access)?;
        let conn = &display.conn;
        let window = conn.generate_id().map_err(x_failed)?;
        let attributes = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let (depth, visual) = (0, 0);
        conn.create_window(
            depth,
            window,
            display.root,
            -1,
            -1,
            1,
            1,
            0,
            WindowClass::INPUT_ONLY,
            visual,
            &attributes,
        )
        .map_err(x_failed)?
        .check()
        .map_err(x_failed)?;
        let png = conn.intern_atom(false, b"image/png").map_err(x_failed)?.reply().map_err(x_failed)?.atom;
        let inner = Arc::new(Inner { display, window, png, state: Mutex::default() });
        let listener = Arc::clone(&inner);
        let thread = thread::Builder::new().name("clipboard".to_owned()).spawn(move || listener.run());
        thread.map_err(|error: io::Error| Problem::system("start", "a thread", error))?;
        Ok(Self { inner, turn: Arc::default() })
    }

    /// Puts text there.
    ///
    /// # Errors
    /// `too_large`, `desktop_ended`.
    pub async fn set(&self, text: &str) -> Result<()> {
        if text.len() > MOST {
            let message = format!("the text has {} bytes, more than {MOST}", text.len());
            return Err(Problem::new(Code::TooLarge, message).field("text"));
        }
        let content: Arc<[u8]> = text.as_bytes().into();
        let inner = Arc::clone(&self.inner);
        let work = move || {
            inner.state().own = Some(content);
            let (conn, atoms) = (&inner.display.conn, &inner.display.atoms);
            conn.set_selection_owner(inner.window, atoms.CLIPBOARD, x11rb::CURRENT_TIME).map_err(x_failed)?;
            let owner =
                conn.get_selection_owner(atoms.CLIPBOARD).map_err(x_failed)?.reply().map_err(x_failed)?.owner;
            if owner == inner.window {
                Ok(())
            } else {
                Err(Problem::internal("somebody else took the clipboard at once"))
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?
    }

    /// What is there: text before pictures.
    ///
    /// # Errors
    /// `timed_out`: its owner does not answer. `too_large`, `desktop_ended`.
    pub async fn get(&self) -> Result<Content> {
        let _turn = self.turn.lock().await;
        let atoms = &self.inner.display.atoms;
        let Some(targets) = self.convert(atoms.TARGETS).await? else { return Ok(Content::Nothing) };
        let targets: Vec<Atom> = targets
            .chunks_exact(4)
            .map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        let string = u32::from(AtomEnum::STRING);
        let text = [atoms.UTF8_STRING, atoms.TEXT_PLAIN_UTF8, atoms.TEXT_PLAIN, string];
        if let Some(target) = text.into_iter().find(|target| targets.contains(target)) {
            let Some(bytes) = self.convert(target).await? else { return Ok(Content::Nothing) };
            // A STRING is Latin-1.
            let text = match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => error.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
            };
            return Ok(Content::Text(text));
        }
        if targets.contains(&self.inner.png) {
            return Ok(self.convert(self.inner.png).await?.map_or(Content::Nothing, Content::Png));
        }
        Ok(Content::Nothing)
    }

    /// Asks the owner for one kind of content; none when it has none such.
    async fn convert(&self, target: Atom) -> Result<Option<Vec<u8>>> {
        let (answer, answered) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let ask = move || {
            inner.state().incoming = Some(Incoming { answer, pieces: None });
            let (conn, atoms) = (&inner.display.conn, &inner.display.atoms);
            let (window, property) = (inner.window, atoms.DESKTOP_MCP);
            conn.delete_property(window, property).map_err(x_failed)?;
            conn.convert_selection(window, atoms.CLIPBOARD, target, property, x11rb::CURRENT_TIME)
                .map_err(x_failed)?;
            conn.flush().map_err(x_failed)
        };
        tokio::task::spawn_blocking(ask).await.map_err(Problem::internal)??;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Problem::new(Code::DesktopEnded, "the desktop's X server has gone")),
            Err(_) => {
                self.inner.state().incoming = None;
                let message = "the program that has the clipboard does not answer";
                Err(Problem::new(Code::TimedOut, message))
            }
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Ok(event) = self.display.conn.wait_for_event() {
            let done = match event {
                Event::SelectionRequest(request) => self.answer(&request),
                Event::SelectionNotify(notify) => self.received(&notify),
                Event::SelectionClear(_) => {
                    self.state().own = None;
                    Ok(())
                }
                // Also of the own window: what this process has, it may ask for itself.
                Event::PropertyNotify(change) if change.state == Property::DELETE => self.next_out(&change),
                Event::PropertyNotify(change) if change.window == self.window => self.next_in(&change),
                Event::DestroyNotify(gone) => {
                    self.state().transfers.retain(|(window, _), _| *window != gone.window);
                    Ok(())
                }
                _ => Ok(()),
            };
            if let Err(problem) = done {
                tracing::debug!("clipboard: {problem}");
            }
        }
        *self.state() = State::default();
    }

    /// Somebody wants to paste.
    fn answer(&self, request: &SelectionRequestEvent) -> Result<()> {
        let (conn, atoms) = (&self.display.conn, &self.display.atoms);
        // Clients of old days name no property.
        let property = if request.property == 0 { request.target } else { request.property };
        let given = self.give(request.requestor, property, request.target)?;
        debug_assert_ne!(atoms.CLIPBOARD, 0);
        let notify = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: if given { property } else { 0 },
        };
        conn.send_event(false, request.requestor, EventMask::NO_EVENT, notify).map_err(x_failed)?;
        conn.flush().map_err(x_failed)
    }

    fn give(&self, to: Window, property: Atom, target: Atom) -> Result<bool> {
        let Some(content) = self.state().own.clone() else { return Ok(false) };
        let (conn, atoms) = (&self.display.conn, &self.display.atoms);
        let string = u32::from(AtomEnum::STRING);
        let kinds = [atoms.UTF8_STRING, atoms.TEXT_PLAIN_UTF8, atoms.TEXT_PLAIN, string, atoms.TEXT];
        if target == atoms.TARGETS {
            let all: Vec<Atom> = [atoms.TARGETS].into_iter().chain(kinds).collect();
            conn.change_property32(PropMode::REPLACE, to, property, AtomEnum::ATOM, &all)
                .map_err(x_failed)?;
            return Ok(true);
        }
        if !kinds.contains(&target) {
            return Ok(false);
        }
        let kind = if target == atoms.TEXT { atoms.UTF8_STRING } else { target };
        if content.len() <= PIECE {
            conn.change_property8(PropMode::REPLACE, to, property, kind, &content).map_err(x_failed)?;
            return Ok(true);
        }
        self.begin(to, property, Transfer { kind, content, sent: 0 })
    }

    /// Promises pieces; each is sent when the one before has been taken.
    fn begin(&self, to: Window, property: Atom, transfer: Transfer) -> Result<bool> {
        let (conn, atoms) = (&self.display.conn, &self.display.atoms);
        let mut state = self.state();
        if state.transfers.len() >= MOST_TRANSFERS {
            return Ok(false);
        }
        let mask = EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY;
        let attributes = ChangeWindowAttributesAux::new().event_mask(mask);
        conn.change_window_attributes(to, &attributes).map_err(x_failed)?;
        let length = u32::try_from(transfer.content.len()).map_err(Problem::internal)?;
        conn.change_property32(PropMode::REPLACE, to, property, atoms.INCR, &[length]).map_err(x_failed)?;
        state.transfers.insert((to, property), transfer);
        Ok(true)
    }

    fn next_out(&self, change: &PropertyNotifyEvent) -> Result<()> {
        let conn = &self.display.conn;
        let mut state = self.state();
        let place = (change.window, change.atom);
        let Some(transfer) = state.transfers.get_mut(&place) else { return Ok(()) };
        let end = (transfer.sent + PIECE).min(transfer.content.len());
        let piece = &transfer.content[transfer.sent..end];
        conn.change_property8(PropMode::REPLACE, change.window, change.atom, transfer.kind, piece)
            .map_err(x_failed)?;
        let last = piece.is_empty();
        transfer.sent = end;
        if last {
            state.transfers.remove(&place);
        }
        conn.flush().map_err(x_failed)
    }

    /// The owner has answered.
    fn received(&self, notify: &SelectionNotifyEvent) -> Result<()> {
        if notify.property == 0 {
            self.finish(Ok(None));
            return Ok(());
        }
        let (kind, bytes) = self.read_property()?;
        if kind == self.display.atoms.INCR {
            if let Some(incoming) = self.state().incoming.as_mut() {
                incoming.pieces = Some(Vec::new());
            }
        } else {
            self.finish(bounded(bytes).map(Some));
        }
        Ok(())
    }

    fn next_in(&self, change: &PropertyNotifyEvent) -> Result<()> {
        let waits = self.state().incoming.as_ref().is_some_and(|incoming| incoming.pieces.is_some());
        if change.state != Property::NEW_VALUE || change.atom != self.display.atoms.DESKTOP_MCP || !waits {
            return Ok(());
        }
        let (_, bytes) = self.read_property()?;
        let done = {
            let mut state = self.state();
            let Some(pieces) = state.incoming.as_mut().and_then(|incoming| incoming.pieces.as_mut()) else {
                return Ok(());
            };
            pieces.extend(&bytes);
            (bytes.is_empty() || pieces.len() > MOST).then(|| std::mem::take(pieces))
        };
        if let Some(whole) = done {
            self.finish(bounded(whole).map(Some));
        }
        Ok(())
    }

    /// Reads and deletes it, which asks for the next piece.
    fn read_property(&self) -> Result<(Atom, Vec<u8>)> {
        let property = self.display.atoms.DESKTOP_MCP;
        let most = u32::try_from(MOST / 4 + 1).unwrap_or(u32::MAX);
        let reply = self
            .display
            .conn
            .get_property(true, self.window, property, AtomEnum::ANY, 0, most)
            .map_err(x_failed)?
            .reply()
            .map_err(x_failed)?;
        Ok((reply.type_, reply.value))
    }

    fn finish(&self, result: Result<Option<Vec<u8>>>) {
        if let Some(incoming) = self.state().incoming.take() {
            let _ = incoming.answer.send(result);
        }
    }
}

fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.len() > MOST {
        return Err(Problem::new(Code::TooLarge, format!("the clipboard has more than {MOST} bytes")));
    }
    Ok(bytes)
}
