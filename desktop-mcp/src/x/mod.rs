//! The X server of a desktop: how to get to it, a connection with what all need of it, its events, a question to the
//! window manager, what programs say of a drag, and a thread that owns something and does one thing after the other with
//! it.

mod access;
mod atoms;
mod display;
mod events;
mod offers;
mod question;
mod thread;

pub use access::*;
pub use atoms::*;
pub use display::*;
pub use events::*;
pub use offers::*;
pub use question::*;
pub use thread::*;
