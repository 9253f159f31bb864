//! What a tool answers about files, within a budget.

use rmcp::model::Resource;
pub use sandboxed_mcp::Answer;

use crate::root::{RelPath, Root};

/// Most bytes of text in an answer. Codex cuts at about 10,000 tokens, Claude Code at 25,000.
pub const MAX_TEXT: usize = 30_000;

/// Where a whole file is.
pub fn file_link(root: &Root, path: &RelPath, mime_type: &str, bytes: u64) -> Resource {
    let name = path.name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Resource::new(file_uri(root, path), name).with_mime_type(mime_type).with_size(bytes)
}

/// A file of the workspace as a link.
pub fn file_uri(root: &Root, path: &RelPath) -> String {
    let whole = if path.is_root() { root.path().to_owned() } else { root.path().join(path.as_path()) };
    sandboxed_mcp::file_uri(&whole)
}
