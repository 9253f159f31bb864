//! Desktops: an X server of its own for each, with a window manager and a session bus, owned by a keeper process that
//! ends all of it when this server goes, however it goes.

mod bus;
mod desktop;
mod ends;
mod guard;
mod keep;
mod keeper;
mod link;
mod logs;
mod place;
mod programs;
mod resize;
mod sessions;
mod stale;
mod start;
mod tools;
mod view;

pub use desktop::Desktop;
pub use keep::keep;
pub use keeper::{Exit, Keeper, Started};
pub use programs::{Program, Running, find_program};
pub use sessions::Desktops;
pub use start::Wish;
pub use tools::*;
pub use view::{Picture, View};
