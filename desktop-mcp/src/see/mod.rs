//! What is on the screen: frames taken through shared memory, what changed between two, pictures of them, windows.

mod changes;
mod encode;
mod eyes;
mod frame;
mod owner;
mod pointer;
mod scale;
mod screenshot;
mod still;
mod tools;
mod windows;

pub use changes::{Change, changes};
pub use encode::{Format, encode};
pub use eyes::Eyes;
pub use frame::Frame;
pub use owner::{is_at, windows_at};
pub use scale::scaled;
pub use screenshot::{Shot, Shown, take};
pub use still::still;
pub use tools::*;
pub use windows::{State, WindowView, find_window, windows};
