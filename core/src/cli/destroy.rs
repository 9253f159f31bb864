//! `workspace destroy`: asks before anything is lost that is nowhere else.

use std::io::{IsTerminal, stdin};

use sandboxed_client::Client;
use sandboxed_domain::api::{ApiError, ErrorCode};

use super::out;

/// Destroys the workspace, told to go on by `yes` or by somebody at a terminal.
///
/// # Errors
/// The daemon's: without a yes it refuses, and names what would be lost.
pub(super) async fn run(client: &Client, workspace: &str, yes: bool) -> Result<(), ApiError> {
    match if yes { Some(true) } else { agreed(client, workspace).await? } {
        Some(true) => client.destroy_workspace(workspace).await?,
        Some(false) => {
            return Err(ApiError::new(ErrorCode::WrongState, "not destroyed: the answer was not yes")
                .hint("nothing was touched"));
        }
        None => client.delete_workspace(workspace).await?,
    }
    out::say(&format!("workspace {workspace} and its files deleted"));
    Ok(())
}

/// Shows what would be lost and asks, where somebody is there to answer and something would be.
async fn agreed(client: &Client, workspace: &str) -> Result<Option<bool>, ApiError> {
    if !stdin().is_terminal() {
        return Ok(None);
    }
    let losses = client.workspace_losses(workspace).await?;
    if losses.is_empty() {
        return Ok(None);
    }
    out::say(&format!("destroying {workspace} loses what is nowhere else:"));
    for line in losses.lines() {
        out::say(&format!("  {}", out::one_line(&line, 400)));
    }
    out::say_raw("Destroy it all the same? [y/N] ");
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await.ok().and_then(Result::ok).unwrap_or_default();
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}
