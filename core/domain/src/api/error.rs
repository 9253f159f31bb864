//! The one error of every door: a stable code, a sentence, the field and what to do.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stable codes that clients may match on. Adding one means giving it a status in every mapping below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each code's name is its meaning; the text is in the error's message")]
pub enum ErrorCode {
    InvalidArgument,
    UnknownField,
    TooLarge,
    NotAvailable,
    Unauthorized,
    Forbidden,
    NotFound,
    UnknownWorker,
    UnknownWorkspace,
    UnknownBackend,
    BackendNotReady,
    ModelMismatch,
    NotARepository,
    UnknownBaseRef,
    BranchExists,
    PathOutsideWorkspace,
    AlreadyAnswered,
    Conflict,
    WrongState,
    SandboxUnavailable,
    SandboxFailed,
    RunnerLost,
    DiskFull,
    ReadOnly,
    DatabaseDamaged,
    PortInUse,
    DataDirInUse,
    DaemonUnreachable,
    TimedOut,
    GitFailed,
    Internal,
}

impl ErrorCode {
    /// The HTTP status of this code.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument
            | Self::UnknownField
            | Self::UnknownBackend
            | Self::ModelMismatch
            | Self::NotARepository
            | Self::UnknownBaseRef
            | Self::PathOutsideWorkspace => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::UnknownWorker | Self::UnknownWorkspace => 404,
            Self::TimedOut => 408,
            Self::BranchExists
            | Self::AlreadyAnswered
            | Self::Conflict
            | Self::WrongState
            | Self::PortInUse
            | Self::DataDirInUse => 409,
            Self::TooLarge => 413,
            Self::NotAvailable => 501,
            Self::BackendNotReady | Self::SandboxUnavailable | Self::DaemonUnreachable => 503,
            Self::DiskFull => 507,
            Self::SandboxFailed
            | Self::RunnerLost
            | Self::ReadOnly
            | Self::DatabaseDamaged
            | Self::GitFailed
            | Self::Internal => 500,
        }
    }

    /// The CLI's exit status: 1 failed, 2 usage, 3 not running or not found, 4 refused, 5 timed out.
    pub fn exit_status(self) -> i32 {
        match self {
            Self::InvalidArgument
            | Self::UnknownField
            | Self::UnknownBackend
            | Self::ModelMismatch
            | Self::NotARepository
            | Self::UnknownBaseRef
            | Self::PathOutsideWorkspace
            | Self::TooLarge => 2,
            Self::NotFound | Self::UnknownWorker | Self::UnknownWorkspace | Self::DaemonUnreachable => 3,
            Self::NotAvailable
            | Self::Unauthorized
            | Self::Forbidden
            | Self::BackendNotReady
            | Self::BranchExists
            | Self::AlreadyAnswered
            | Self::Conflict
            | Self::WrongState
            | Self::SandboxUnavailable
            | Self::PortInUse
            | Self::DataDirInUse => 4,
            Self::TimedOut => 5,
            Self::SandboxFailed
            | Self::RunnerLost
            | Self::DiskFull
            | Self::ReadOnly
            | Self::DatabaseDamaged
            | Self::GitFailed
            | Self::Internal => 1,
        }
    }

    /// The code as it stands on the wire.
    pub fn as_str(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// What every operation returns when it fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub struct ApiError {
    /// Stable code to match on.
    pub code: ErrorCode,
    /// What happened, with the offending value.
    pub message: String,
    /// Path of the offending field (`workers[3].worktree.branch`) or file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(default)]
    pub hint: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)?;
        if let Some(field) = &self.field {
            write!(f, " (field {field})")?;
        }
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl ApiError {
    /// A new error without field or hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, hint: String::new() }
    }

    /// Names the offending field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// A bad value in `field`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message).field(field)
    }
}
