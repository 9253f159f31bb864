//! What can go wrong, as the model reads it: a stable code, a sentence, the field at fault and what to do next.

use std::{fmt::Display, io};

use serde::Serialize;

use crate::BadArgument;

/// Stable names of a server's failures. Those that every server knows are named here.
pub trait Code: Copy + Serialize + 'static {
    /// A value is out of its range, or two do not fit together.
    const INVALID_ARGUMENT: Self;
    /// A field that the tool does not have.
    const UNKNOWN_FIELD: Self;
    /// The client took the call back.
    const CANCELLED: Self;
    /// A mistake of this server.
    const INTERNAL: Self;

    /// The usual advice.
    fn hint(self) -> &'static str;

    /// The code of a failure of the system.
    fn of(error: &io::Error) -> Self;

    /// A failure of the system in words.
    fn words(error: &io::Error) -> String {
        error.to_string()
    }
}

/// A failure of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem<C> {
    /// Stable name.
    pub code: C,
    /// What happened.
    pub message: String,
    /// The argument at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do next.
    pub hint: String,
}

impl<C: Code> Problem<C> {
    /// A failure with the usual advice of its code.
    pub fn new(code: C, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, hint: code.hint().to_owned() }
    }

    /// A wrong argument.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(C::INVALID_ARGUMENT, message).field(field)
    }

    /// A mistake of this server.
    pub fn internal(error: impl Display) -> Self {
        Self::new(C::INTERNAL, error.to_string())
    }

    /// A failure of the system while `what` was done to `path`.
    pub fn system(what: &str, path: impl Display, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        Self::new(C::of(&error), format!("cannot {what} {path}: {}", C::words(&error)))
    }

    /// Names the argument at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Better advice than the usual.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl<C: Code> From<BadArgument> for Problem<C> {
    fn from(bad: BadArgument) -> Self {
        let code = if bad.unknown { C::UNKNOWN_FIELD } else { C::INVALID_ARGUMENT };
        let problem = Self { field: bad.field, ..Self::new(code, bad.message) };
        match bad.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

impl<C: Code> From<serde_json::Error> for Problem<C> {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}
