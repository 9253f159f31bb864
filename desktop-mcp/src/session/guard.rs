//! The guard: a process above the keeper. Should the keeper be killed, the kernel ends what it had started itself, and
//! what that had started comes to the guard, which ends it and removes what is left.

use std::{fs, io, path::Path};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process, set_child_subreaper, wait,
};

use super::ends::{Signals, descendants, end_all};

/// Makes a keeper below this process: its number here, nothing there. Called before there is a second thread.
pub fn fork() -> io::Result<Option<Pid>> {
    set_child_subreaper(Some(getpid()))?;
    let own = getpid();
    // SAFETY: there is one thread, so the child has all that it needs and no lock is held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 if getppid() != Some(own) => Err(io::ErrorKind::NotConnected.into()),
        0 => Ok(None),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Waits for the keeper's end, and sees to it that nothing is left.
///
/// # Errors
/// What is left of the directory cannot be removed, or the keeper failed.
pub fn guard(signals: &Signals, keeper: Pid, directory: &Path) -> io::Result<()> {
    // It is the socket to the server, who must see that the keeper has gone.
    leave_stdin()?;
    let mut end = None;
    while end.is_none() {
        signals.wait(None)?;
        if signals.asked() {
            let _ = kill_process(keeper, Signal::TERM);
        }
        end = reap(keeper);
    }
    end_all(signals, &|| descendants(&[]), &mut || {
        reap(keeper);
    });
    remove(directory)?;
    match end.and_then(WaitStatus::exit_status) {
        Some(0) => Ok(()),
        _ => Err(io::Error::other("the keeper of a desktop did not end by itself")),
    }
}

/// Takes in what has ended; how the keeper has.
fn reap(keeper: Pid) -> Option<WaitStatus> {
    let mut end = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == keeper {
            end = Some(status);
        }
    }
    end
}

fn leave_stdin() -> io::Result<()> {
    let null = fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(null)?;
    Ok(())
}

/// Removes the desktop's directory, unless that is done.
pub fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
