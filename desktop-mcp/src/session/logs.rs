//! What the parts of a desktop write, as its keeper keeps it: the end of it in a file each, however much they write.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::{Errno, ioctl_fionbio, read};
use rustix::pipe::{PipeFlags, pipe_with};

/// Largest file, in bytes.
const LONGEST: u64 = 64 << 10;
/// What stays of it when more comes, in bytes: far more than is ever told.
const KEPT: u64 = 16 << 10;
/// Most pieces that are taken in at once, so that who writes all the time keeps nobody from anything.
const AT_ONCE: usize = 16;

/// The file, and the end of the pipe from which it is filled.
#[derive(Debug)]
pub struct Log {
    pipe: OwnedFd,
    file: File,
    length: u64,
}

impl Log {
    /// Begins one, and returns what to write to.
    ///
    /// # Errors
    /// The file or the pipe cannot be made.
    pub fn begin(path: &Path) -> io::Result<(Self, OwnedFd)> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        let (pipe, write) = pipe_with(PipeFlags::CLOEXEC)?;
        ioctl_fionbio(&pipe, true)?;
        Ok((Self { pipe, file, length }, write))
    }

    /// Takes in what was written; whether more may come.
    pub fn take_in(&mut self) -> bool {
        let mut bytes = [0; 4096];
        for _ in 0..AT_ONCE {
            match read(&self.pipe, &mut bytes) {
                Ok(0) => return false,
                // On a full disk it is lost, and who writes goes on.
                Ok(length) => drop(self.append(&bytes[..length])),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length > LONGEST - bytes.len() as u64 {
            let kept = KEPT.min(self.length);
            let mut end = vec![0; usize::try_from(kept).unwrap_or_default()];
            self.file.read_exact_at(&mut end, self.length - kept)?;
            self.file.set_len(0)?;
            self.length = 0;
            self.write(&end)?;
        }
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_that_is_written_the_end_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let (mut log, write) = Log::begin(&path).unwrap();
        let mut write = File::from(write);
        assert!(log.take_in(), "nothing so far");
        for number in 0..40_000 {
            writeln!(write, "line {number}").unwrap();
            if number % 1000 == 0 {
                assert!(log.take_in());
                assert!(std::fs::metadata(&path).unwrap().len() <= LONGEST);
            }
        }
        drop(write);
        assert!(!log.take_in(), "nothing any more");
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept.len() as u64 >= KEPT && kept.len() as u64 <= LONGEST, "{}", kept.len());
        let whole: Vec<&str> = kept.lines().skip(1).collect();
        let first: usize = whole[0].strip_prefix("line ").unwrap().parse().unwrap();
        let expected: Vec<String> = (first..40_000).map(|number| format!("line {number}")).collect();
        assert_eq!(whole, expected);
    }
}
