//! Recordings of a desktop: an animated WebP, exact and small where little changes, a GIF for where that is not shown, or
//! a video by ffmpeg. A frame is taken when something was painted, so a still screen costs nothing.

mod animation;
mod gif;
mod recording;
mod tools;
mod video;
mod webp;

pub use animation::Animation;
pub use recording::{End, Kind, Recordings, Report, Wish};
pub use tools::*;
