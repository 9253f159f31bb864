//! `workspace destroy`: asks before anything is lost that is nowhere else.

use std::io::{IsTerminal, stdin};

use sandboxed_client::Client;
use sandboxed_domain::api::ApiError;

use super::out;

/// Destroys the workspace, told to go on by `yes` or by somebody at a terminal.
///
/// # Errors
/// The daemon's: without a yes it refuses, and names what would be lost.
pub(super) async fn run(client: &Client, workspace: &str, yes: bool) -> Result<(), ApiError> {
    let sure = yes || agreed(client, workspace).await?;
    match sure {
        true => client.destroy_workspace(workspace).await?,
        false => client.delete_workspace(workspace).await?,
    }
    out::say(&format!("workspace {workspace} and its files deleted"));
    Ok(())
}

/// Shows what would be lost and asks, where somebody is there to answer.
async fn agreed(client: &Client, workspace: &str) -> Result<bool, ApiError> {
    if !stdin().is_terminal() {
        return Ok(false);
    }
    let losses = client.workspace_losses(workspace).await?;
    if losses.is_empty() {
        return Ok(false);
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
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
