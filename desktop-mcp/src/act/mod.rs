//! What is done on a desktop: mouse, keys, text, clipboard, windows, programs.

mod clipboard;
mod computer;
mod hands;
mod keymap;
mod launch;
mod mouse;
mod names;
mod plan;
mod tools;
mod typing;
mod windows;

pub use clipboard::{Clipboard, Content};
pub use computer::{ComputerParams, computer};
pub use hands::Hands;
pub use launch::{Launched, launch};
pub use mouse::{Button, Direction, click, drag, hold, press, scroll};
pub use names::chords;
pub use tools::*;
pub use typing::{Typed, type_text};
pub use windows::{Became, Wish, manage};
