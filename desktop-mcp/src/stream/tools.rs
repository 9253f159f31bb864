//! The tool that gives a live view away: stream.

use rmcp::model::Tool;
use sandboxed_mcp::tools::{Effect, data};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Studio;
use crate::error::Result;
use crate::session::Desktops;

/// Parameters of `stream`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    desktop: String,
}

/// Answer of `stream`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StreamResponse {
    /// Where the live picture is, on this machine only; needs ?token= or a bearer token
    url: String,
    /// File with the token, which only its owner can read
    token_file: String,
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![data::<StreamParams, StreamResponse>(
        "stream",
        "Live view",
        "Returns the address of a live MJPEG picture of a desktop for people or dashboards on this machine, and the file \
         with its token. You cannot watch it yourself: use screenshot. Runs only while somebody watches.",
        Effect::Reads,
    )?])
}

/// `stream`
///
/// # Errors
/// `unknown_desktop`, or what keeps it from being served.
pub async fn stream(desktops: &Desktops, studio: &Studio, params: StreamParams) -> Result<StreamResponse> {
    let desktop = desktops.named(&params.desktop)?;
    let (address, file) = studio.open(desktops, &desktop).await?;
    let url = format!("http://{address}/{}.mjpeg", desktop.id());
    Ok(StreamResponse { url, token_file: file.display().to_string() })
}
