//! The input of a run: bytes addressed by their offset in the whole stream, kept until the run reads them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::protocol::MAX_STDIN_BUFFER;

/// The key that ends the input of a terminal, `^D`.
const END_OF_INPUT: u8 = 4;

/// Why bytes were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StdinError {
    #[error("the run does not read and {MAX_STDIN_BUFFER} bytes are waiting")]
    Full,
    #[error("bytes before the offset are missing: {accepted} were accepted")]
    Gap { accepted: u64 },
    #[error("the input has ended")]
    Closed,
}

impl StdinError {
    /// The protocol's word.
    pub fn code(self) -> &'static str {
        match self {
            Self::Full => "stdin_full",
            Self::Gap { .. } => "stdin_gap",
            Self::Closed => "stdin_closed",
        }
    }
}

/// Input of one run.
#[derive(Debug)]
pub struct Stdin {
    pipe: Option<File>,
    waiting: VecDeque<u8>,
    accepted: u64,
    ended: bool,
    /// What tells the run of the end, beside the closing.
    last: Option<u8>,
}

impl Stdin {
    /// Feeds `pipe`, which does not block; without one the input is empty and ended.
    pub fn new(pipe: Option<OwnedFd>) -> Self {
        Self {
            ended: pipe.is_none(),
            pipe: pipe.map(File::from),
            waiting: VecDeque::new(),
            accepted: 0,
            last: None,
        }
    }

    /// Types into a terminal, which does not block and does not end when it is closed here.
    pub fn terminal(master: File) -> Self {
        Self { last: Some(END_OF_INPUT), ..Self::new(Some(master.into())) }
    }

    /// Bytes accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Takes what is new in `data`, all of it or nothing. Bytes for a run that closed its end are taken and dropped.
    pub fn accept(&mut self, offset: u64, data: &[u8]) -> Result<(), StdinError> {
        let known = self.accepted.checked_sub(offset).ok_or(StdinError::Gap { accepted: self.accepted })?;
        let new = usize::try_from(known).ok().and_then(|known| data.get(known..)).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        if self.ended {
            return Err(StdinError::Closed);
        }
        if self.waiting.len() + new.len() > MAX_STDIN_BUFFER {
            return Err(StdinError::Full);
        }
        self.accepted += new.len() as u64;
        if self.pipe.is_some() {
            self.waiting.extend(new);
            self.feed();
        }
        Ok(())
    }

    /// The run sees the end after what was accepted.
    pub fn end(&mut self) {
        self.ended = true;
        if self.pipe.is_some() {
            self.waiting.extend(self.last.take());
        }
        self.feed();
    }

    /// The pipe, while bytes wait for room in it.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().filter(|_| !self.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// Writes what fits now.
    pub fn feed(&mut self) {
        while let Some(pipe) = &mut self.pipe {
            let (front, _) = self.waiting.as_slices();
            if front.is_empty() {
                break;
            }
            match pipe.write(front) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(),
            }
        }
        if self.ended {
            self.close();
        } else if self.waiting.is_empty() {
            self.waiting.shrink_to(64 << 10);
        }
    }

    /// Forgets the pipe and what waits for it.
    pub fn close(&mut self) {
        self.pipe = None;
        self.waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;

    use super::*;

    fn piped() -> (File, Stdin) {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        (read.into(), Stdin::new(Some(write)))
    }

    #[test]
    fn bytes_arrive_once_whatever_is_repeated() {
        let (mut out, mut stdin) = piped();
        for (offset, data) in [(0, "abc"), (0, "abc"), (1, "bcde"), (5, "f"), (2, "c"), (6, "")] {
            stdin.accept(offset, data.as_bytes()).unwrap();
        }
        assert_eq!(stdin.accept(7, b"x"), Err(StdinError::Gap { accepted: 6 }));
        stdin.end();
        assert_eq!(stdin.accept(0, b"abc"), Ok(()), "a repetition after the end is no error");
        assert_eq!(stdin.accept(6, b"x"), Err(StdinError::Closed));
        let mut all = String::new();
        out.read_to_string(&mut all).unwrap();
        assert_eq!(all, "abcdef");
    }

    #[test]
    fn input_is_bounded_and_a_gone_reader_is_no_error() {
        let (out, mut stdin) = piped();
        let piece = vec![b'x'; 4 << 20];
        let mut offset = 0;
        while stdin.accept(offset, &piece).is_ok() {
            offset = stdin.accepted();
            assert!(offset <= (MAX_STDIN_BUFFER + (1 << 20)) as u64);
        }
        assert_eq!(stdin.accept(offset, &piece), Err(StdinError::Full));
        drop(out);
        stdin.feed();
        assert!(stdin.blocked().is_none());
        assert_eq!(stdin.accept(offset, b"more"), Ok(()));
    }
}
