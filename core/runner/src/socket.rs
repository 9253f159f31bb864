//! Unix sockets whose path may be longer than the 108 bytes of an address, and descriptors sent over them.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use crate::protocol::MAX_FDS;

/// The directory at `path`, open only to name things in it.
///
/// # Errors
/// When it cannot be opened or is no directory.
pub fn open_directory(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC).open(path)
}

/// A short path of `name` in the open directory.
pub fn short_path(directory: BorrowedFd<'_>, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

/// Listens at `name` in `directory`, replacing a socket that is there. The name appears, by rename, when connections are
/// accepted: who watches the directory needs not try.
///
/// # Errors
/// When the name cannot be replaced or the socket not be bound.
pub fn listen_at(directory: BorrowedFd<'_>, name: &str) -> io::Result<UnixListener> {
    let new = short_path(directory, &format!("{name}.new"));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    listener.set_nonblocking(true)?;
    std::fs::rename(new, short_path(directory, name))?;
    Ok(listener)
}

/// Connects to the socket at `path`.
///
/// # Errors
/// When the directory cannot be opened or nobody listens.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let directory = open_directory(parent)?;
    UnixStream::connect(short_path(directory.as_fd(), name))
}

/// Sends the beginning of `bytes` with `fds` and returns how many bytes went.
///
/// # Errors
/// Of `sendmsg`.
pub fn send(stream: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let sent =
        sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(sent)
}

/// Receives at most `buffer.len()` bytes; descriptors that came along are appended to `fds`. Zero is the end.
///
/// # Errors
/// Of `recvmsg`; `InvalidData` when more descriptors came than [`MAX_FDS`].
pub fn receive(stream: BorrowedFd<'_>, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut control = nix::cmsg_space!([std::os::fd::RawFd; MAX_FDS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    for received in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = received {
            // SAFETY: the kernel has just made these descriptors for this process; nothing else owns them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(message.bytes)
}
