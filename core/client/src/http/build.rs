//! The answer of a build: one JSON document a line, progress first, then the workspace or the error.

use futures::{Stream, StreamExt};
use sandboxed_domain::api::{ApiError, BuildProgress, ErrorCode, WorkspaceView};
use serde::Deserialize;
use serde_json::Value;

/// A longer line is none of ours.
const MAX_LINE: usize = 1 << 20;

/// Reads the answer to its end.
pub(super) async fn follow(
    response: reqwest::Response,
    mut progress: impl FnMut(BuildProgress),
) -> Result<WorkspaceView, ApiError> {
    let chunks = response.bytes_stream().map(|chunk| match chunk {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) => Err(went_away(&format!(": {}", cause(&error)))),
    });
    read(std::pin::pin!(chunks), &mut progress).await
}

async fn read(
    mut chunks: impl Stream<Item = Result<Vec<u8>, ApiError>> + Unpin,
    progress: &mut impl FnMut(BuildProgress),
) -> Result<WorkspaceView, ApiError> {
    let mut pending = Vec::new();
    while let Some(chunk) = chunks.next().await {
        pending.extend(chunk?);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if let Some(view) = take(&line, progress)? {
                return Ok(view);
            }
        }
        if pending.len() > MAX_LINE {
            return Err(ApiError::new(ErrorCode::TooLarge, "a line of the build's answer is too long"));
        }
    }
    // The last line may come without its end.
    take(&pending, progress)?.ok_or_else(|| went_away(""))
}

fn went_away(why: &str) -> ApiError {
    ApiError::new(ErrorCode::DaemonUnreachable, format!("the daemon went away during the build{why}"))
        .hint("call it again: images that were built are kept")
}

/// The innermost of an error's causes, which says what happened.
fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The workspace if this line holds it.
fn take(line: &[u8], progress: &mut impl FnMut(BuildProgress)) -> Result<Option<WorkspaceView>, ApiError> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let unread = |e: serde_json::Error| {
        ApiError::new(ErrorCode::Internal, format!("the build's answer does not fit: {e}"))
            .hint("client and daemon are of different builds")
    };
    let value: Value = serde_json::from_slice(line).map_err(unread)?;
    if let Ok(step) = BuildProgress::deserialize(&value) {
        progress(step);
        return Ok(None);
    }
    if let Ok(error) = ApiError::deserialize(&value) {
        return Err(error);
    }
    WorkspaceView::deserialize(&value).map(Some).map_err(unread)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    const VIEW: &str = r#"{"id":"00000000-0000-0000-0000-000000000001","name":"w","kind":"container",
        "state":"stopped","detail":null,"root":"/r","image":null,"binds":[],"network":"host","limits":{},
        "created_at":"2026-01-01T00:00:00Z"}"#;

    fn run(text: &str, piece: usize) -> (Result<String, ApiError>, Vec<u8>) {
        let chunks: Vec<_> = text.as_bytes().chunks(piece).map(|chunk| Ok(chunk.to_vec())).collect();
        let mut steps = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut note = |step: BuildProgress| steps.push(step.percent);
        let result = runtime.block_on(read(stream::iter(chunks), &mut note));
        (result.map(|view| view.name), steps)
    }

    #[test]
    fn progress_comes_first_and_the_workspace_last_however_the_bytes_are_cut() {
        let view = VIEW.replace('\n', "");
        let text = format!("{{\"percent\":1,\"text\":\"a\"}}\n\n{{\"percent\":99,\"text\":\"b\"}}\n{view}");
        for piece in [1, 7, 4096] {
            assert_eq!(run(&text, piece), (Ok("w".to_owned()), vec![1, 99]));
        }
    }

    #[test]
    fn an_error_line_is_the_error_and_an_early_end_is_one_too() {
        let failed = "{\"code\":\"disk_full\",\"message\":\"m\",\"hint\":\"h\"}\n";
        assert_eq!(run(failed, 9).0, Err(ApiError::new(ErrorCode::DiskFull, "m").hint("h")));
        let (result, steps) = run("{\"percent\":50,\"text\":\"a\"}\n", 9);
        assert_eq!((result.unwrap_err().code, steps), (ErrorCode::DaemonUnreachable, vec![50]));
    }
}
