//! When work on a thread must end: the client took the call back, or its time is over.

use std::io;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::{Code, Problem, Result};

/// Looked at by whoever works for long.
#[derive(Debug, Clone)]
pub struct Stop {
    cancelled: CancellationToken,
    deadline: Instant,
}

impl Stop {
    /// Ends with the token, and after `time`.
    pub fn new(cancelled: CancellationToken, time: Duration) -> Self {
        Self { cancelled, deadline: Instant::now() + time }
    }

    /// Whether the time is over.
    pub fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// An error when it is time to end.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.is_cancelled() || self.is_late() { Err(self.problem()) } else { Ok(()) }
    }

    /// The same for readers.
    pub fn check_io(&self) -> io::Result<()> {
        self.check().map_err(|_| io::ErrorKind::Interrupted.into())
    }

    /// Why it is time to end.
    pub fn problem(&self) -> Problem {
        if self.cancelled.is_cancelled() {
            Problem::new(Code::Cancelled, "the client took the call back")
        } else {
            Problem::new(Code::TimedOut, "it took too long")
        }
    }
}
