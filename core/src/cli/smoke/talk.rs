//! Both messages, and everything that comes.

use futures::StreamExt;
use sandboxed_client::Client;
use sandboxed_domain::api::{ApiError, ErrorCode, MessageParams, WorkspaceView};
use sandboxed_domain::smoke::{GATE, Observed, second_message};
use uuid::Uuid;

use super::place;
use crate::cli::out;

/// Follows the mission until nothing more is to come. When it is busy with the command the second message is sent, and
/// then the command gets what it waits for.
///
/// # Errors
/// The daemon's.
pub(super) async fn talk(
    client: &Client,
    workspace: &WorkspaceView,
    mission: Uuid,
    observed: &mut Observed,
) -> Result<(), ApiError> {
    let mut events = std::pin::pin!(client.stream(Some(mission), Some(0)).await?);
    while !observed.is_over() {
        let frame = events.next().await.ok_or_else(|| {
            ApiError::new(ErrorCode::DaemonUnreachable, "the daemon closed the event stream")
        })??;
        // Frames without a sequence are no events of the mission.
        let Some(event) = frame.event().filter(|_| frame.id.is_some()) else { continue };
        observed.take(&event.body);
        if observed.is_busy() {
            let params = MessageParams {
                content: second_message(),
                mission_id: Some(mission),
                ..MessageParams::default()
            };
            match client.message(&params).await {
                Ok(answer) => observed.accepted(answer.queued),
                // It ended at this very moment.
                Err(error) if error.code == ErrorCode::WrongState => observed.accepted(false),
                Err(error) => return Err(error),
            }
            let script = format!("printf '%s\\n' \"$1\" > {GATE}");
            let answer = observed.answer();
            let opened = place::run(client, workspace.id, &["sh", "-c", &script, "sh", &answer]).await;
            if let Err(error) = opened {
                out::say(&format!("  the command does not read: {}", error.message));
            }
        }
    }
    Ok(())
}
