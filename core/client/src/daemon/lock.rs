//! What the daemon itself holds and writes: one daemon for a data directory.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use sandboxed_domain::api::{ApiError, ErrorCode};

use super::{
    files::{StateFiles, file_error, open_lock, write_whole},
    process::ProcessId,
};
use crate::settings::Settings;

/// How long the lock of a daemon that was killed may outlive it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The daemon's hold on its data directory. Dropping it removes the pid and version files; the kernel releases
/// the lock even after a `kill -9`.
#[derive(Debug)]
pub struct DaemonLock {
    files: StateFiles,
    process: ProcessId,
    address: (std::net::IpAddr, u16),
    // Held for its lock alone.
    _lock: File,
}

impl DaemonLock {
    /// Takes the data directory for this process.
    ///
    /// # Errors
    /// `DataDirInUse` naming the other daemon's pid; `ReadOnly` or `DiskFull` naming the path.
    pub fn acquire(settings: &Settings) -> Result<Self, ApiError> {
        let files = StateFiles::new(settings);
        files.create_dir()?;
        let mut lock = open_lock(&files.lock)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut lock);
                if holder_lives(&holder) || !lock_within(&lock, PATIENCE) {
                    return Err(in_use(settings, &holder));
                }
            }
            Err(TryLockError::Error(e)) => return Err(file_error(&files.lock, &e)),
        }
        let process = ProcessId::own().map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?;
        let holder = format!("pid {} on {}:{}\n", process.pid, settings.host, settings.port);
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(holder.as_bytes()))
            .map_err(|e| file_error(&files.lock, &e))?;
        Ok(Self { files, process, address: (settings.host, settings.port), _lock: lock })
    }

    /// Listens on the settings' address, non-blocking, ready for `tokio::net::TcpListener::from_std`.
    ///
    /// # Errors
    /// `PortInUse`, or `Forbidden` for a port or address this user may not use.
    pub fn bind(&self) -> Result<TcpListener, ApiError> {
        let (host, port) = self.address;
        let bound = TcpListener::bind(self.address).and_then(|l| l.set_nonblocking(true).map(|()| l));
        bound.map_err(|e| {
            let message = format!("cannot listen on {host} port {port}: {e}");
            match e.kind() {
                io::ErrorKind::AddrInUse => ApiError::new(ErrorCode::PortInUse, message)
                    .field("SANDBOXED_SH_PORT")
                    .hint("stop the other program, or choose another port with --port or SANDBOXED_SH_PORT"),
                io::ErrorKind::PermissionDenied => ApiError::new(ErrorCode::Forbidden, message)
                    .field("SANDBOXED_SH_PORT")
                    .hint("choose a port above 1023"),
                _ => ApiError::new(ErrorCode::InvalidArgument, message)
                    .field("SANDBOXED_SH_HOST")
                    .hint("choose an address of this machine with --host or SANDBOXED_SH_HOST"),
            }
        })
    }

    /// Writes version and pid file, in this order: who sees the pid finds the build id. Call
    /// it after [`Self::bind`] and before the first accept: a client takes whoever answers without a pid file for
    /// somebody else's daemon.
    ///
    /// # Errors
    /// `ReadOnly` or `DiskFull` naming the path.
    pub fn publish(&self, build_id: &str) -> Result<(), ApiError> {
        write_whole(&self.files.version, &format!("{build_id}\n"))?;
        write_whole(&self.files.pid, &format!("{}\n{}\n", self.process.pid, self.process.start_time))
    }
}

impl Drop for DaemonLock {
    fn drop(&mut self) {
        self.files.forget(self.process);
    }
}

/// What the holder wrote into the lock file; empty when it cannot be read.
fn read_holder(lock: &mut File) -> String {
    let mut holder = String::new();
    // An unreadable holder only makes the message shorter.
    let _ = lock.take(200).read_to_string(&mut holder);
    holder.trim().to_owned()
}

fn holder_lives(holder: &str) -> bool {
    let pid = holder.strip_prefix("pid ").and_then(|rest| rest.split(' ').next());
    pid.is_some_and(|pid| std::path::Path::new("/proc").join(pid).join("stat").exists())
}

/// Waits for the lock of a daemon that is gone. A child that it was just making when it was killed shares the lock
/// until it executes its program.
fn lock_within(lock: &File, patience: Duration) -> bool {
    let Ok(waiting) = lock.try_clone() else { return false };
    let (taken, answer) = mpsc::channel();
    // Ends with the lock, or with this process, which gives up when the patience is over.
    std::thread::spawn(move || taken.send(waiting.lock().is_ok()));
    answer.recv_timeout(patience).unwrap_or(false)
}

fn in_use(settings: &Settings, holder: &str) -> ApiError {
    let holder = Some(holder).filter(|h| !h.is_empty()).unwrap_or("pid unknown");
    let dir = settings.data_dir.display().to_string();
    ApiError::new(ErrorCode::DataDirInUse, format!("{dir} is in use by another daemon ({holder})"))
        .field("SANDBOXED_SH_DATA_DIR")
        .hint("stop that daemon, or give this one a data directory of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_dead_daemon_is_waited_for_as_long_as_a_child_shares_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let open =
            || File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let (shared, ours) = (open(), open());
        shared.lock().unwrap();
        assert!(!lock_within(&ours, Duration::from_millis(10)), "it is shared still");
        let (late, later) = (open(), open());
        let holder = std::thread::spawn(move || lock_within(&late, Duration::from_secs(20)));
        drop(shared);
        assert!(holder.join().unwrap() || later.try_lock().is_err(), "one of the waiting ones has it");
    }

    #[test]
    fn a_holder_lives_when_its_process_does() {
        assert!(holder_lives(&format!("pid {} on 127.0.0.1:3000", std::process::id())));
        for dead in ["", "pid 4194305 on 127.0.0.1:3000", "nonsense"] {
            assert!(!holder_lives(dead), "{dead}");
        }
    }
}
