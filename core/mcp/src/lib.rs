//! What the MCP servers of this project have in common: the doors (stdio, HTTP behind a token), arguments, answers and
//! failures as models read them, signs of life, and the shape of tools. What a server does is its own.

mod answer;
mod arguments;
pub mod http;
mod listing;
mod log;
mod problem;
mod progress;
pub mod stdio;
mod token;
pub mod tools;

pub use answer::{Answer, file_uri, refusal};
pub use arguments::{BadArgument, parse};
pub use listing::{listing, outcome};
pub use log::log_to_stderr;
pub use problem::{Code, Problem};
pub use progress::Progress;
pub use token::{Token, hex, random};
