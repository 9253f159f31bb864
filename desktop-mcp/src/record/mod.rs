//! Recordings of a desktop: an animated WebP, exact and small where little changes, or a video by ffmpeg. A frame is
//! taken when something was painted, so a still screen costs nothing.

mod recording;
mod tools;
mod video;
mod webp;

pub use recording::{End, Kind, Recordings, Report, Wish};
pub use tools::*;
pub use webp::Animation;
