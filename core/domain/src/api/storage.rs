//! Folders that sandboxes share with the people around them, and how full places are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place with a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageFolder {
    /// The folder that all workspaces read.
    Global,
    /// A workspace's own inbox.
    Inbox,
    /// All of a workspace that has a disk of its own.
    Workspace,
}

impl StorageFolder {
    /// As it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Inbox => "inbox",
            Self::Workspace => "workspace",
        }
    }
}

/// Where the shared folders are, as a process of the workspace sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SharedFolders {
    /// For reading; the same for all workspaces.
    pub global: String,
    /// For reading and writing; the workspace's own.
    pub inbox: String,
}

/// How full a place is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageUse {
    /// Bytes in it; every file and directory counts 4 KiB at least.
    pub used_bytes: u64,
    /// Bytes that it may hold.
    pub quota_bytes: u64,
}
