//! A page for browsers that tells everything it gets, and what is done to it by mouse and keys: what was asked for and
//! what arrived are compared. Wherever the browser and its desktop are, the page comes from the test.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test may panic as the test may")]

mod actions;
mod dice;
mod told;

pub use actions::{long_text_arrives, random_actions_arrive};
pub use told::{EVENTS, Page};
