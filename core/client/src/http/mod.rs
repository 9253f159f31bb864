//! The HTTP API as typed methods.

mod build;
mod client;
mod events;
mod failure;
mod library;
mod routes;
mod shell;

pub use client::*;
pub use events::*;
pub use failure::*;
