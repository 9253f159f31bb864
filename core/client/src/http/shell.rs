//! The answer of a shell: one JSON document a line, from its start to its end.

use futures::StreamExt;
use sandboxed_domain::api::{ApiError, ErrorCode, ShellEvent};

use super::failure::from_transport;

/// A longer line is none of ours.
const MAX_LINE: usize = 1 << 20;

/// Reads the answer to its end.
pub(super) async fn follow(
    response: reqwest::Response,
    target: &str,
    mut event: impl FnMut(ShellEvent) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let mut chunks = response.bytes_stream();
    let mut pending = Vec::new();
    while let Some(chunk) = chunks.next().await {
        pending.extend_from_slice(&chunk.map_err(|error| ApiError::from(from_transport(&error, target)))?);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let read: ShellEvent = serde_json::from_slice(&line).map_err(|error| {
                ApiError::new(ErrorCode::Internal, format!("the shell's answer does not fit: {error}"))
                    .hint("client and daemon are of different builds")
            })?;
            let last = matches!(read, ShellEvent::Ended { .. });
            event(read)?;
            if last {
                return Ok(());
            }
        }
        if pending.len() > MAX_LINE {
            return Err(ApiError::new(ErrorCode::TooLarge, "a line of the shell's answer is too long"));
        }
    }
    Err(ApiError::new(ErrorCode::DaemonUnreachable, "the daemon went away, and the shell with it"))
}
