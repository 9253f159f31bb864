//! The connection through which things are done.

use crate::error::{Result, x_failed};
use crate::x::{Access, Display};
use x11rb::protocol::xtest::ConnectionExt as _;

/// Acts on one desktop.
#[derive(Debug)]
pub struct Hands {
    display: Display,
}

impl Hands {
    /// Connects.
    ///
    /// # Errors
    /// `desktop_ended`, or an X server without XTEST.
    pub fn open(access: &Access) -> Result<Self> {
        let display = Display::open(access)?;
        display.need("XTEST")?;
        display.conn.xtest_get_version(2, 2).map_err(x_failed)?.reply().map_err(x_failed)?;
        Ok(Self { display })
    }

    /// The connection.
    pub fn display(&self) -> &Display {
        &self.display
    }
}
