//! `write_file`: a whole file, or more at its end.

use std::fs::File;
use std::io::Write;

use rustix::fs::{FileType, OFlags, fstat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::replace::{Before, replace};
use crate::error::{Code, Problem, Result};
use crate::root::Root;

/// Longest content of one call in bytes.
pub const MAX_CONTENT: usize = 8 << 20;

/// What to do with a file that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Replace it.
    #[default]
    Overwrite,
    /// Fail.
    Create,
    /// Add to its end.
    Append,
}

/// Parameters of `write_file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteParams {
    /// The file. Missing directories are made.
    pub path: String,
    /// Its whole text, or with append what to add; at most 8 MiB.
    pub content: String,
    /// overwrite (default): replace a file that is there; create: fail then; append: add to its end.
    #[serde(default)]
    pub mode: WriteMode,
}

/// Answer of `write_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WriteResponse {
    /// The file, relative to the workspace.
    pub path: String,
    /// Whether there was none before.
    pub created: bool,
    /// Bytes that were written.
    pub bytes: u64,
}

/// Writes a file.
///
/// # Errors
/// `too_large`, `already_exists`, `not_a_file` and what the system says.
pub fn write_file(root: &Root, params: &WriteParams) -> Result<WriteResponse> {
    let path = root.changeable("path", &params.path)?;
    let content = params.content.as_bytes();
    if content.len() > MAX_CONTENT {
        let message = format!("content has {} bytes, more than {MAX_CONTENT}", content.len());
        let hint = "write the first part, then the rest with mode=append";
        return Err(Problem::new(Code::TooLarge, message).field("content").hint(hint));
    }
    let created = match params.mode {
        WriteMode::Overwrite => !replace(root, &path, content, Before::Anything)?,
        WriteMode::Create => !replace(root, &path, content, Before::Missing)?,
        WriteMode::Append => append(root, &path, content)?,
    };
    Ok(WriteResponse { path: path.to_string(), created, bytes: content.len() as u64 })
}

/// Whether the file was made.
fn append(root: &Root, path: &crate::root::RelPath, content: &[u8]) -> Result<bool> {
    let fail = |errno| Problem::system("write", path, errno).field("path");
    if let Some(parent) = path.parent() {
        root.make_dirs(&parent).map_err(fail)?;
    }
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK;
    let fd = root.create(path, flags).map_err(fail)?;
    let stat = fstat(&fd).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Problem::new(Code::NotAFile, format!("{path} is no regular file")).field("path"));
    }
    let written = File::from(fd).write_all(content);
    written.map_err(|error| Problem::system("write", path, error).field("path"))?;
    Ok(stat.st_size == 0)
}
