//! The screen as a moving picture: one capture for all who watch, driven by what is painted, over HTTP on loopback.

mod camera;
mod film;
mod serve;
mod tools;

pub use camera::{Camera, Cameras, Jpeg};
pub use film::Film;
pub use serve::{Studio, router};
pub use tools::*;
