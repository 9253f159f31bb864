//! Waiting for what happens on a desktop: the X server and the programs push it, nothing is asked for again and again. A
//! wait that reaches its time-out has an answer too: what there is instead.

mod screen;
mod things;
mod tools;

pub use screen::{change, next_paint, still};
pub use things::{Thing, thing};
pub use tools::*;
