//! The connection through which things are done, and the single motions of mouse and keys. They are quick; whoever has
//! to wait between them does so elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use x11rb::connection::Connection;
use x11rb::protocol::xkb::{ConnectionExt as _, Group, ID, SetMapAux, SetMapFlags, VMod};
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ClientMessageEvent, ConnectionExt as _, EventMask,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, ModMask, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;

use super::keymap::{Keymap, Stroke};
use super::names::keysym_of;
use super::plan::{Given, Spare};
use crate::error::{Code, Problem, Result, x_failed};
use crate::x::{Access, Display};

/// Milliseconds between the clicks of a double click.
const BETWEEN_CLICKS: u32 = 8;

/// Acts on one desktop.
#[derive(Debug)]
pub struct Hands {
    display: Display,
    pub(super) spare: Spare,
    /// Buttons that are down.
    buttons: BTreeSet<u8>,
    /// Where the pointer was sent last. While a window manager holds a click back, the pointer is not there yet.
    sent: Option<(i32, i32)>,
    /// When and where a button was let go, unless keys have waited for what came of it.
    clicked: Option<(Instant, Option<(i32, i32)>)>,
}

impl Hands {
    /// Connects.
    ///
    /// # Errors
    /// `desktop_ended`, or an X server without XTEST or XKB.
    pub fn open(access: &Access) -> Result<Self> {
        let display = Display::open(access)?;
        for extension in ["XTEST", "XKEYBOARD"] {
            display.need(extension)?;
        }
        display.conn.xtest_get_version(2, 2).map_err(x_failed)?.reply().map_err(x_failed)?;
        display.conn.xkb_use_extension(1, 0).map_err(x_failed)?.reply().map_err(x_failed)?;
        let mut hands =
            Self { display, spare: Spare::default(), buttons: BTreeSet::new(), sent: None, clicked: None };
        hands.keymap()?;
        // Nobody is there yet who would have to notice.
        let common = hands.spare.give_common();
        hands.assign(&common)?;
        Ok(hands)
    }

    /// The connection.
    pub fn display(&self) -> &Display {
        &self.display
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) -> Result<()> {
        let root = self.display.root;
        self.display.conn.xtest_fake_input(kind, detail, 0, root, x, y, 0).map_err(x_failed).map(drop)
    }

    /// Moves the pointer.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn move_to(&mut self, (x, y): (i32, i32)) -> Result<()> {
        self.sent = Some((x, y));
        let side = |value: i32| i16::try_from(value).map_err(Problem::internal);
        self.fake(MOTION_NOTIFY_EVENT, 0, side(x)?, side(y)?)
    }

    /// Lets the X server wait before it does what comes next: programs take clicks of one millisecond for the same one.
    fn pause(&self) -> Result<()> {
        let (conn, root) = (&self.display.conn, self.display.root);
        let relative = 1;
        conn.xtest_fake_input(MOTION_NOTIFY_EVENT, relative, BETWEEN_CLICKS, root, 0, 0, 0)
            .map_err(x_failed)
            .map(drop)
    }

    /// Presses or releases a button.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn button(&mut self, button: u8, down: bool) -> Result<()> {
        if down {
            self.buttons.insert(button);
        } else {
            self.buttons.remove(&button);
            self.clicked = Some((Instant::now(), self.sent));
        }
        self.fake(if down { BUTTON_PRESS_EVENT } else { BUTTON_RELEASE_EVENT }, button, 0, 0)
    }

    /// When and where the last click was, once.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn take_click(&mut self) -> Result<Option<(Instant, (i32, i32))>> {
        let Some((time, place)) = self.clicked.take() else { return Ok(None) };
        Ok(Some((time, place.map_or_else(|| self.pointer(), Ok)?)))
    }

    /// Buttons that are down.
    pub fn buttons(&self) -> impl Iterator<Item = u8> {
        self.buttons.iter().copied()
    }

    /// Presses and releases a button several times.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn click(&mut self, button: u8, times: u32) -> Result<()> {
        for nth in 0..times {
            if nth > 0 {
                self.pause()?;
            }
            self.button(button, true)?;
            self.button(button, false)?;
        }
        Ok(())
    }

    /// Where the pointer was sent last.
    pub fn sent(&self) -> Option<(i32, i32)> {
        self.sent
    }

    /// Where the pointer is as the X server tells it, which what is held back has not reached yet.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn pointer(&self) -> Result<(i32, i32)> {
        let conn = &self.display.conn;
        let at = conn.query_pointer(self.display.root).map_err(x_failed)?.reply().map_err(x_failed)?;
        Ok((at.root_x.into(), at.root_y.into()))
    }

    /// Presses or releases a key.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn key(&self, code: u8, down: bool) -> Result<()> {
        self.fake(if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT }, code, 0, 0)
    }

    /// The keyboard as it is now; spare keys are those of it.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn keymap(&mut self) -> Result<Keymap> {
        let keymap = Keymap::read(&self.display)?;
        self.spare.refresh(&keymap.blank, |code| keymap.given(code));
        Ok(keymap)
    }

    /// Gives keys other symbols. Programs notice that later.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn assign(&self, keys: &BTreeMap<u8, Given>) -> Result<()> {
        let pair = |given: &Given| {
            let symbol = |place: usize| given.get(place).or(given.first()).map_or(0, |c| keysym_of(*c));
            // One that is alone stands there with Shift too, so that Caps Lock changes nothing.
            [symbol(0), symbol(1)]
        };
        let mut keys = keys.iter().map(|(code, given)| (*code, pair(given))).peekable();
        while let Some((first, symbols)) = keys.next() {
            let mut symbols = symbols.to_vec();
            let mut count = 1_u8;
            while let Some((_, more)) = keys.next_if(|(code, _)| Some(*code) == first.checked_add(count)) {
                symbols.extend(more);
                count += 1;
            }
            self.display.conn.change_keyboard_mapping(count, first, 2, &symbols).map_err(x_failed)?;
        }
        self.tell_of_new_keyboard()?;
        self.display.sync()
    }

    /// Some programs, Chromium among them, look at the map only when they hear of a new keyboard. They do when the range
    /// of its keys changes; it is made a key shorter and then as it was.
    fn tell_of_new_keyboard(&self) -> Result<()> {
        let setup = self.display.conn.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        for last in [last - 1, last] {
            let (keyboard, nothing) = (ID::USE_CORE_KBD.into(), SetMapAux::new());
            let (flags, none) = (SetMapFlags::from(0_u16), VMod::from(0_u16));
            let conn = &self.display.conn;
            conn.xkb_set_map(
                keyboard, flags, first, last, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                none, &nothing,
            )
            .map_err(x_failed)?
            .check()
            .map_err(x_failed)?;
        }
        Ok(())
    }

    /// Types strokes one after the other. Modifiers stay down between strokes that both need them.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn strokes(&self, keymap: &Keymap, strokes: impl Iterator<Item = Stroke>) -> Result<()> {
        let mut down = 0;
        for stroke in strokes {
            self.modifiers(keymap, down & !stroke.modifiers, false)?;
            self.modifiers(keymap, stroke.modifiers & !down, true)?;
            down = stroke.modifiers;
            self.key(stroke.code, true)?;
            self.key(stroke.code, false)?;
        }
        self.modifiers(keymap, down, false)?;
        self.display.sync()
    }

    fn modifiers(&self, keymap: &Keymap, modifiers: u8, down: bool) -> Result<()> {
        keymap.holders(modifiers).try_for_each(|code| self.key(code, down))
    }

    /// Locks or unlocks Caps Lock.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn lock_caps(&self, locked: bool) -> Result<()> {
        let (caps, none) = (ModMask::LOCK, ModMask::from(0_u16));
        let locks = if locked { caps } else { none };
        let keyboard = ID::USE_CORE_KBD.into();
        self.display
            .conn
            .xkb_latch_lock_state(keyboard, caps, locks, false, Group::M1, none, false, 0)
            .map_err(x_failed)?;
        self.display.sync()
    }

    /// The window that keys go to.
    ///
    /// # Errors
    /// `text_not_typed`: none does.
    pub fn focus(&self) -> Result<Window> {
        let focus = self.display.conn.get_input_focus().map_err(x_failed)?.reply().map_err(x_failed)?.focus;
        // None, pointer root, and the screen itself are no programs.
        if focus <= 1 || focus == self.display.root || self.is_managers(focus)? {
            return Err(Problem::new(Code::TextNotTyped, "no window has the keyboard's focus")
                .hint("click into the window or field first, or focus it with manage_window"));
        }
        Ok(focus)
    }

    /// A window manager keeps the focus of nobody in a window of one pixel. Toolkits have such too, but within theirs.
    fn is_managers(&self, window: Window) -> Result<bool> {
        let conn = &self.display.conn;
        let tree = conn.query_tree(window).map_err(x_failed)?;
        let geometry = conn.get_geometry(window).map_err(x_failed)?.reply().map_err(x_failed)?;
        let at_top = tree.reply().map_err(x_failed)?.parent == self.display.root;
        Ok(at_top && geometry.width <= 1 && geometry.height <= 1)
    }

    /// Sends a message about a window to the window manager.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn ask_manager(&self, window: Window, kind: u32, data: [u32; 5]) -> Result<()> {
        let message = ClientMessageEvent::new(32, window, kind, data);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        let root = self.display.root;
        self.display.conn.send_event(false, root, mask, message).map_err(x_failed)?;
        self.display.conn.flush().map_err(x_failed)
    }
}
