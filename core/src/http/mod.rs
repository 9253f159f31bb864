//! The HTTP door: axum, bearer token, problem+json; a unix socket for each mission with that mission's rights only.

mod auth;
mod control;
mod library;
mod orchestrator;
mod peer;
mod problem;
mod router;
mod sse;
mod workspaces;

pub use auth::Auth;
pub use peer::Peer;
pub use router::{Door, admin_router, mission_router};
