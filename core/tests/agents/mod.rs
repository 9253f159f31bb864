//! The real agent CLIs as subjects of tests: what each needs, is called and cannot do, and a stage on which it works:
//! the real daemon, real sandboxes, and the stub model server in place of the model.
//!
//! A CLI that is missing fails the test, see `sandboxed_testkit::cli`.
#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "each test binary uses a part of it")]

mod behaviour;
mod claudecode;
mod codex;
mod gemini;
mod grok;
mod home;
mod login;
mod opencode;
mod processes;
mod secrets;
mod stage;
mod subject;

pub use behaviour::{BEHAVIOURS, Behaviour};
pub use claudecode::CLAUDECODE;
pub use codex::CODEX;
pub use gemini::GEMINI;
pub use grok::GROK;
pub use home::*;
pub use login::UserLogin;
pub use opencode::OPENCODE;
pub use processes::*;
pub use secrets::*;
pub use stage::*;
pub use subject::*;

/// All of them, in the order of the documentation.
pub const SUBJECTS: &[&Subject] = &[&CLAUDECODE, &CODEX, &OPENCODE, &GEMINI, &GROK];
