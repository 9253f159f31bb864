//! What is done on a desktop: mouse, keys, text, clipboard, windows, programs.

mod hands;

pub use hands::Hands;
