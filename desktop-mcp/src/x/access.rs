//! How to get to the X server of a desktop: its number, and the cookie that only this desktop's programs know.

use std::{
    fmt, io,
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::{Path, PathBuf},
};

use std::io::Write;

use sandboxed_mcp::random;
use x11rb::rust_connection::{DefaultStream, RustConnection};

use crate::error::{Code, Problem, Result};

/// Name of the protocol of the cookie.
const COOKIE_NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";
/// Family "wild" in a file of cookies: for every address.
const FAMILY_WILD: u16 = 0xffff;

/// The secret of a display.
#[derive(Clone)]
pub struct Cookie([u8; 16]);

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie")
    }
}

impl Cookie {
    /// A new one.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub fn new() -> io::Result<Self> {
        Ok(Self(random()?))
    }

    /// Writes the file that X servers and clients read, for every display and address. Only its owner reads it.
    ///
    /// # Errors
    /// It is there already or cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut entry = FAMILY_WILD.to_be_bytes().to_vec();
        for field in [b"".as_slice(), b"", COOKIE_NAME, &self.0] {
            let length = u16::try_from(field.len()).map_err(io::Error::other)?;
            entry.extend(length.to_be_bytes());
            entry.extend(field);
        }
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(&entry)
    }
}

/// The way to one display.
#[derive(Debug, Clone)]
pub struct Access {
    number: u32,
    cookie: Cookie,
}

impl Access {
    /// To a display by its number.
    pub fn new(number: u32, cookie: Cookie) -> Self {
        Self { number, cookie }
    }

    /// What `DISPLAY` says.
    pub fn name(&self) -> String {
        format!(":{}", self.number)
    }

    /// The display's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        format!("/tmp/.X11-unix/X{}", self.number).into()
    }

    /// A new connection.
    ///
    /// # Errors
    /// `desktop_ended`: the server is not there, or refuses.
    pub fn connect(&self) -> Result<RustConnection> {
        let gone = |error: String| {
            Problem::new(Code::DesktopEnded, format!("display {} cannot be reached: {error}", self.name()))
        };
        let stream = UnixStream::connect(self.socket()).map_err(|error| gone(error.to_string()))?;
        let (stream, _) = DefaultStream::from_unix_stream(stream).map_err(|error| gone(error.to_string()))?;
        let (name, cookie) = (COOKIE_NAME.to_vec(), self.cookie.0.to_vec());
        RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie)
            .map_err(|error| gone(error.to_string()))
    }
}
