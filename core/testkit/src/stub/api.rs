//! What a model API must bring to be served: reading its requests and rendering its replies.

use serde_json::Value;

use super::{
    answer::Answer,
    choose::Conversation,
    reply::Reply,
    script::{Fault, Step},
};

/// One wire format; everything between reading and rendering is common to all.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// Reads path and body of a request.
    pub read: fn(&str, &Value) -> Conversation,
    /// Renders the answer of a step; the id, different for each answer, goes into message and call ids.
    pub reply: fn(&Conversation, &Step, &Answer, Option<Fault>, &str) -> Reply,
    /// Renders a mistake of the script, with a status that no CLI retries.
    pub mistake: fn(&str) -> Reply,
}
