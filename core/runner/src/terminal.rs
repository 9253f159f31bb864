//! A run's terminal: its keyboard and screen are the other end of what the run sees, kept by the runner so that it stays
//! while clients come and go.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

const CHUNK: usize = 16 << 10;
/// Most bytes taken at a time, so that a flooding run does not keep the others waiting.
const AT_ONCE: u64 = 256 << 10;
/// Most bytes taken after the end: a terminal holds far less, unless something that cannot be killed still writes.
const AT_END: u64 = 4 << 20;

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pumped {
    /// All there was for now.
    All,
    /// There may be more.
    More,
    /// Its output is longer than allowed; what is beyond is not kept.
    TooLong,
}

/// The runner's end of a terminal.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    room: u64,
    hung_up: bool,
}

/// A new terminal: the runner's end, which does not block, and the run's.
pub fn open(rows: u16, cols: u16) -> io::Result<(File, OwnedFd)> {
    // Whoever put something else at this path gets an error of the first ioctl, and no waiting.
    let flags = libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let master = File::options().read(true).write(true).custom_flags(flags).open("/dev/ptmx")?;
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    let unlocked: libc::c_int = 0;
    let peer_flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the descriptor is open, both pointers lead to live values of the types that these requests read, and the
    // last request takes a number and makes a descriptor that nobody else owns.
    unsafe {
        if libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) < 0
            || libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) < 0
        {
            return Err(io::Error::last_os_error());
        }
        let peer = libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, peer_flags);
        if peer < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((master, OwnedFd::from_raw_fd(peer)))
    }
}

impl Terminal {
    /// Keeps at most `room` bytes of what is shown.
    pub fn new(master: File, room: Option<u64>) -> Self {
        Self { master, room: room.unwrap_or(u64::MAX), hung_up: false }
    }

    /// Another size; what is in the foreground gets SIGWINCH.
    pub fn resize(&self, rows: u16, cols: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the descriptor is open and the pointer leads to a live value of the type that this request reads.
        unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }

    /// Moves what was shown to `out`.
    pub fn pump(&mut self, out: &File) -> io::Result<Pumped> {
        self.take(out, AT_ONCE)
    }

    /// Moves the rest after everything of the run is gone.
    pub fn drain(&mut self, out: &File) -> io::Result<()> {
        self.take(out, AT_END).map(drop)
    }

    fn take(&mut self, mut out: &File, most: u64) -> io::Result<Pumped> {
        let mut chunk = [0; CHUNK];
        let mut taken = 0;
        while taken < most {
            let count = match self.master.read(&mut chunk) {
                Ok(0) => return Ok(self.hang_up()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Pumped::All),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // EIO is how a terminal says that its other end is closed.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(self.hang_up()),
                Err(error) => return Err(error),
            };
            taken += count as u64;
            let kept = usize::try_from(self.room).unwrap_or(usize::MAX).min(count);
            out.write_all(&chunk[..kept])?;
            self.room -= kept as u64;
            if kept < count {
                return Ok(Pumped::TooLong);
            }
        }
        Ok(Pumped::More)
    }

    fn hang_up(&mut self) -> Pumped {
        self.hung_up = true;
        Pumped::All
    }

    /// What tells that something was shown; none after the run let go of its end. It is kept open all the same: closing
    /// it would signal a run that only went into the background.
    pub fn watched(&self) -> Option<BorrowedFd<'_>> {
        (!self.hung_up).then_some(self.master.as_fd())
    }
}
