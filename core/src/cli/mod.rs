//! The command line: parses, calls the daemon (starting it first where needed) and shows.
//!
//! - [`args`]: the grammar. [`out`]: the only writer. [`run`]: from arguments to an exit status.
//! - [`daemon`]: `serve` and `daemon`; [`mission`], [`workspace`], [`backend`]: one client call a verb.
//! - [`image`]: a workspace's image, made before it is needed, with its progress.
//! - [`doctor`]: what the machine needs, and mending it; [`inside`]: the programs that run inside sandboxes.
//! - [`cleanup`]: what old missions take. [`connect`]: settings of a boss's client. [`demo`]: the main job from end to end.
//!   [`smoke`]: a live backend against what is expected of it. [`visit`]: what both begin and end with.

pub mod args;
mod backend;
mod cleanup;
mod connect;
mod daemon;
mod demo;
mod destroy;
mod doctor;
mod image;
mod inside;
mod library;
mod mission;
pub mod out;
mod run;
mod shell;
mod smoke;
mod visit;
mod workspace;

pub use run::main;
