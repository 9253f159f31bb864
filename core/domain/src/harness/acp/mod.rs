//! The Agent Client Protocol (ACP, version 1) on stdio: one driver for every CLI that speaks it.
//!
//! The types are those of the protocol's own crate. What a CLI does in its own way (names of its tools, what its
//! errors mean, where it tells what a turn cost) it describes by a [`Dialect`]; everything else is here.
//!
//! ```text
//! -> initialize            <- capabilities
//! -> authenticate          <- {}                          (where the plan names a method)
//! -> session/new           <- session id                  (or session/resume, session/load)
//! -> session/set_mode …    <- {}                          (what the plan wants set)
//! -> session/prompt        <- session/update*, session/request_permission*
//!                          <- stop reason                 (the only end of a turn)
//! -> session/cancel        <- stop reason `cancelled`     (open requests are answered `cancelled` first)
//! ```
//! The first message opens the handshake and waits in the state; a message during a turn waits for its end. One
//! request of ours is open at a time. What a loaded session repeats of its history is no event. We offer neither
//! files nor terminals: the CLI works in the sandbox by itself.

mod codec;
mod dialect;
mod handshake;
mod request;
mod rpc;
mod setup;
mod state;
mod tool;
mod turn;
mod update;

pub(super) use codec::AcpCodec;
pub(super) use dialect::{Answer, Dialect, Question, content, model};
pub(super) use rpc::RpcError;
pub(super) use setup::{MODES, Setting, Setup, check_mode};
pub(super) use state::{Failure, Told};
