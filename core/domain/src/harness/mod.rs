//! One adapter for each agent CLI: a launch plan and a codec, both pure.
//!
//! An adapter is one module that implements [`Harness`] and one line in [`registry`]. Nothing else in the
//! workspace knows a harness by name: others ask its [`Capabilities`].

mod acp;
mod claudecode;
mod codec;
mod codex;
mod command;
mod credentials;
mod environment;
mod event;
mod gemini;
mod grok;
mod instructions;
mod library;
mod login;
mod opencode;
mod plan;
mod programs;
mod registry;
mod renewal;
mod settings;
mod skill;
mod text;

pub use codec::*;
pub use event::*;
pub use instructions::*;
pub use library::*;
pub use login::*;
pub use plan::*;
pub use programs::*;
pub use registry::*;
pub use renewal::*;
pub use skill::*;
pub use text::*;
