//! Test products of the workspace; nothing of it is shipped.
//!
//! * [`stub`]: a model server that answers from a script, so that the real agent CLIs run offline;
//! * [`mcp`]: a server of tools with a client;
//! * [`forward`]: a proxy that passes on what it is asked for, and writes it down;
//! * [`page`]: a page for browsers that tells what it gets;
//! * [`game`]: tasks in the programs of a desktop;
//! * [`cli`]: finds the real agent CLIs a test needs, and says how to install a missing one;
//! * the binary `stub-model`: the same server for a shell;
//! * the binary `wicked`: a program that misbehaves on demand.

pub mod cli;
pub mod forward;
pub mod game;
pub mod mcp;
pub mod page;
pub mod stub;
