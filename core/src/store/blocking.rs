//! Blocking work away from the runtime's own threads.

use sandboxed_domain::api::{ApiError, ErrorCode};

/// Runs `work` on a thread for blocking things.
///
/// # Errors
/// `internal`: the work panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("a blocking task ended: {error}")))
}
