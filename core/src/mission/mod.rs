//! Missions at work: a scheduler that grants slots and one actor for each mission that holds one.
//!
//! An actor is a short loop over what is written down: it looks at the mission and its newest run, decides the next
//! step, does it, and writes the result in one transaction. What others want of it (a message, a cancel, an answer) is
//! written down by them and the actor merely woken. So a daemon may die between any two steps and the next one goes on
//! from the same rows.
//!
//! ```text
//! preparing --prepare--> active + run(starting) --start--> run(running) --drive--> run(ended)
//!     run(turn, ended): failed by a limit? -> rate_limited, slot free; by a passing fault? -> pending, for later
//!                       next message? -> prepare again; conversation of a person? -> waiting
//!                       check wanted? -> run(verify, starting) -> ... -> end;  else -> end
//! ```

mod actor;
mod alarm;
mod apply;
mod deliver;
mod drive;
mod finish;
mod inbox;
mod keys;
mod logins;
mod manager;
mod prepare;
mod requests;
mod schedule;
mod setbacks;
mod settings;
mod sockets;
mod stall;
mod storage;
mod supplies;
mod tail;
mod verify;
mod watch;

pub use manager::*;
pub(crate) use prepare::{git_error, worktree_name};
pub use setbacks::{resumed_with, taken_up_with};
pub use settings::*;
pub use sockets::*;
pub(crate) use supplies::check_supplies;
pub use watch::*;
