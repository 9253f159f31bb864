//! Takes frames through memory that is shared with the X server.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use x11rb::connection::Connection;
use x11rb::protocol::shm::{ConnectionExt as _, Seg};
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::ImageFormat;
use x11rb::utils::RawFdContainer;

use super::frame::{Frame, PIXEL};
use crate::error::{Code, Problem, Result, x_failed};
use crate::geometry::Rect;
use crate::x::{Access, Display};

/// Depths whose pixels have four bytes.
const DEPTHS: [u8; 2] = [24, 32];

/// Memory that both sides have.
#[derive(Debug)]
struct Shared {
    memory: File,
    bytes: u64,
    segment: Seg,
}

/// Looks at one desktop.
#[derive(Debug)]
pub struct Eyes {
    display: Display,
    shared: Option<Shared>,
    /// The last frame that was shown to the model.
    pub(super) last: Option<Frame>,
    /// The one before it, for its memory: getting it anew for each frame takes as long as the frame.
    pub(super) spare: Option<Frame>,
}

impl Eyes {
    /// Connects.
    ///
    /// # Errors
    /// `desktop_ended`, or an X server that cannot share memory.
    pub fn open(access: &Access) -> Result<Self> {
        let display = Display::open(access)?;
        display.need("MIT-SHM")?;
        let version = display.conn.shm_query_version().map_err(x_failed)?.reply().map_err(x_failed)?;
        if (version.major_version, version.minor_version) < (1, 2) {
            return Err(Problem::new(Code::NotStarted, "the X server's MIT-SHM is older than 1.2"));
        }
        display.conn.xfixes_query_version(5, 0).map_err(x_failed)?.reply().map_err(x_failed)?;
        Ok(Self { display, shared: None, last: None, spare: None })
    }

    /// The connection.
    pub fn display(&self) -> &Display {
        &self.display
    }

    /// The screen's size now.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn screen(&self) -> Result<Rect> {
        self.display.size()
    }

    /// What is on the screen within `area`, which is cut at the edges.
    ///
    /// # Errors
    /// `off_screen`: nothing of it is on the screen. `desktop_ended`.
    pub fn look(&mut self, area: Rect) -> Result<Frame> {
        let mut frame = Frame::default();
        self.look_again(&mut frame, area)?;
        Ok(frame)
    }

    /// Looks so that the next screenshot tells what has changed since now.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn remember(&mut self, area: Rect) -> Result<()> {
        let mut frame = self.spare.take().unwrap_or_default();
        self.look_again(&mut frame, area)?;
        self.spare = self.last.replace(frame);
        Ok(())
    }

    /// The same into a frame that is there already, whose memory is used again.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn look_again(&mut self, frame: &mut Frame, area: Rect) -> Result<()> {
        let screen = self.screen()?;
        let area = screen.common(&area).ok_or_else(|| {
            let (width, height) = (screen.width, screen.height);
            Problem::new(Code::OffScreen, format!("nothing of it is on the screen of {width}x{height}"))
        })?;
        self.read(area, frame)
    }

    fn read(&mut self, area: Rect, frame: &mut Frame) -> Result<()> {
        let length = area.width as usize * area.height as usize * PIXEL;
        let conn = &self.display.conn;
        let shared = match self.shared.take().filter(|shared| shared.bytes >= length as u64) {
            Some(shared) => self.shared.insert(shared),
            None => self.shared.insert(share(&self.display, length as u64)?),
        };
        let side = |value: u32| u16::try_from(value).map_err(Problem::internal);
        let corner = |value: i32| i16::try_from(value).map_err(Problem::internal);
        let (x, y) = (corner(area.x)?, corner(area.y)?);
        let (width, height) = (side(area.width)?, side(area.height)?);
        let format = ImageFormat::Z_PIXMAP.into();
        let reply = conn
            .shm_get_image(self.display.root, x, y, width, height, u32::MAX, format, shared.segment, 0)
            .map_err(x_failed)?
            .reply()
            .map_err(x_failed)?;
        if !DEPTHS.contains(&reply.depth) {
            return Err(Problem::internal(format!("pixels of {} bits", reply.depth)));
        }
        frame.area = area;
        frame.pixels.resize(length, 0);
        shared
            .memory
            .read_exact_at(&mut frame.pixels, 0)
            .map_err(|error| Problem::system("read", "the memory of the screen", error))
    }
}

fn share(display: &Display, bytes: u64) -> Result<Shared> {
    let failed = |error: rustix::io::Errno| Problem::system("make", "memory for the screen", error);
    let memory = memfd_create("screen", MemfdFlags::CLOEXEC).map_err(failed)?;
    ftruncate(&memory, bytes).map_err(failed)?;
    let conn = &display.conn;
    let segment = conn.generate_id().map_err(x_failed)?;
    let theirs = memory.as_fd().try_clone_to_owned();
    let theirs = theirs.map_err(|error| Problem::system("share", "memory for the screen", error))?;
    conn.shm_attach_fd(segment, RawFdContainer::from(theirs), false)
        .map_err(x_failed)?
        .check()
        .map_err(x_failed)?;
    Ok(Shared { memory: memory.into(), bytes, segment })
}
