//! Telling the starter that the daemon serves: one line through an inherited pipe.

use std::{
    fs::File,
    io::Write,
    os::fd::{FromRawFd, RawFd},
    os::unix::fs::FileTypeExt,
};

/// Names the descriptor of the pipe, in the daemon's environment.
pub const READY_FD_VARIABLE: &str = "SANDBOXED_SH_READY_FD";

/// What the daemon writes.
pub(super) const READY_LINE: [u8; 6] = *b"ready\n";

/// The starter's pipe, if there is one.
#[derive(Debug)]
pub struct ReadySignal(Option<File>);

impl ReadySignal {
    /// Takes the pipe over. Call it once, first thing in `serve`, before anything else opens files or starts
    /// processes: until then a child would inherit the pipe, and a failed start would show only
    /// when that child ends.
    pub fn from_env() -> Self {
        Self(std::env::var(READY_FD_VARIABLE).ok().and_then(|fd| take_pipe(fd.parse().ok()?)))
    }

    /// Says that the daemon serves. A starter that has given up is no error.
    pub fn send(self) {
        if let Some(mut pipe) = self.0 {
            let _ = pipe.write_all(&READY_LINE);
        }
    }
}

fn take_pipe(fd: RawFd) -> Option<File> {
    if fd <= 2 {
        return None;
    }
    // A variable that has leaked into another process names a descriptor that is not there, or is no pipe.
    if !std::fs::metadata(format!("/proc/self/fd/{fd}")).ok()?.file_type().is_fifo() {
        return None;
    }
    // SAFETY: the descriptor is open (just checked) and was put there by the starter for this function alone;
    // nothing else in this process knows of it.
    let pipe = unsafe { File::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&pipe, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(pipe)
}
