//! The command line: noun, verb.

mod command;
mod mission;
mod workspace;

#[cfg(test)]
mod tests;

pub use command::*;
pub use mission::*;
pub use workspace::*;
