//! What is done on a desktop: mouse, keys, text, clipboard, windows, programs.

mod asked;
mod clipboard;
mod computer;
mod drag;
mod elsewhere;
mod hands;
mod keymap;
mod launch;
mod manager;
mod mouse;
mod names;
mod plan;
mod settle;
mod tools;
mod typing;
mod windows;

pub use clipboard::{Clipboard, Content};
pub use computer::{ComputerParams, computer};
pub use drag::{Dropped, drag};
pub use elsewhere::refuse_elsewhere;
pub use hands::Hands;
pub use launch::{Launched, launch};
pub use mouse::{Button, Direction, click, hold, press, scroll};
pub use names::chords;
pub use tools::*;
pub use typing::{Typed, type_text};
pub use windows::{Became, Wish, manage};
