//! What programs tell of themselves over accessibility (AT-SPI): windows, buttons, fields, texts. They are read into a
//! tree within bounds of nodes and time, because programs may hang or lie; written as an outline with short references;
//! and acted on by these.

mod act;
mod bus;
mod changes;
mod elements;
mod find;
mod labels;
mod node;
mod object;
mod outline;
mod point;
mod reach;
mod read;
mod refs;
mod role;
#[cfg(test)]
mod testing;
mod tools;
mod walk;

pub use bus::Bus;
pub use elements::{Elements, Wanted};
pub use find::{find, find_below, shows};
pub use labels::label;
pub use node::{Element, Node};
pub use object::Object;
pub use outline::{Outline, describe, outline};
pub use refs::{Named, Refs};
pub use role::is_actionable;
pub use tools::*;
pub use walk::{Bounds, Cut, Tree, walk, walk_from};
