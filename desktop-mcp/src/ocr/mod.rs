//! Text in the picture of the screen, read by Tesseract where that is installed: for what programs do not tell over
//! accessibility.

mod lines;
mod read;
mod tools;

pub use lines::{Found, Line, Word, find, parse};
pub use read::{ENGLISH, read_screen};
pub use tools::*;
