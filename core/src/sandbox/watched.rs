//! Descriptors that tokio wakes us for.

use std::fs::File;
use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a file with the runtime; must be called within one.
pub(crate) fn watched(file: File, interest: Interest) -> io::Result<AsyncFd<File>> {
    // SAFETY: a `File` owns its descriptor and reports the same one until it is dropped.
    unsafe { AsyncFd::register_with_interest(file, interest) }.map_err(Into::into)
}
