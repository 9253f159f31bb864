//! A connection with what everybody needs of it.

use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, Screen, Window};
use x11rb::rust_connection::RustConnection;

use super::{Access, Atoms};
use crate::error::{Code, Problem, Result, x_failed};
use crate::geometry::Rect;

/// Longest property that is read, in bytes: titles and lists of windows are shorter.
const LONGEST_PROPERTY: u32 = 64 << 10;

/// A connection to a desktop's X server.
#[derive(Debug)]
pub struct Display {
    /// The connection.
    pub conn: RustConnection,
    /// Numbers of names.
    pub atoms: Atoms,
    /// The root window.
    pub root: Window,
}

impl Display {
    /// Connects.
    ///
    /// # Errors
    /// `desktop_ended`: the server is not there.
    pub fn open(access: &Access) -> Result<Self> {
        let conn = access.connect()?;
        let root = Self::screen_of(&conn)?.root;
        let atoms = Atoms::new(&conn).map_err(x_failed)?.reply().map_err(x_failed)?;
        Ok(Self { conn, atoms, root })
    }

    fn screen_of(conn: &RustConnection) -> Result<&Screen> {
        conn.setup()
            .roots
            .first()
            .ok_or_else(|| Problem::new(Code::DesktopEnded, "the X server has no screen"))
    }

    /// The screen as it was when the connection was made.
    ///
    /// # Errors
    /// The server has no screen.
    pub fn screen(&self) -> Result<&Screen> {
        Self::screen_of(&self.conn)
    }

    /// The screen's size now.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn size(&self) -> Result<Rect> {
        let geometry = self.conn.get_geometry(self.root).map_err(x_failed)?.reply().map_err(x_failed)?;
        Ok(Rect::new(0, 0, geometry.width.into(), geometry.height.into()))
    }

    /// Waits until the server has done all that was sent.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn sync(&self) -> Result<()> {
        self.conn.get_input_focus().map_err(x_failed)?.reply().map_err(x_failed).map(drop)
    }

    /// Sends what is waiting to be sent.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn flush(&self) -> Result<()> {
        self.conn.flush().map_err(x_failed)
    }

    /// Bytes of a property; empty when the window has none such.
    ///
    /// # Errors
    /// `unknown_window`, `desktop_ended`.
    pub fn property(&self, window: Window, name: u32) -> Result<Vec<u8>> {
        let any = u32::from(AtomEnum::ANY);
        let cookie = self.conn.get_property(false, window, name, any, 0, LONGEST_PROPERTY / 4);
        Ok(cookie.map_err(x_failed)?.reply().map_err(x_failed)?.value)
    }

    /// A property that is a list of numbers: windows, atoms, cardinals.
    ///
    /// # Errors
    /// As [`Self::property`].
    pub fn numbers(&self, window: Window, name: u32) -> Result<Vec<u32>> {
        let bytes = self.property(window, name)?;
        Ok(bytes
            .chunks_exact(4)
            .map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
            .collect())
    }

    /// Whether the server has an extension.
    ///
    /// # Errors
    /// `not_started`: it has not.
    pub fn need(&self, extension: &'static str) -> Result<()> {
        match self.conn.extension_information(extension).map_err(x_failed)? {
            Some(_) => Ok(()),
            None => Err(Problem::new(Code::NotStarted, format!("the X server has no extension {extension}"))),
        }
    }
}
