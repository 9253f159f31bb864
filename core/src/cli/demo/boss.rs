//! A boss: the real `mcp-orchestrator` as a child, spoken to over MCP on its stdin and stdout.

use std::path::Path;

use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, CallToolResult, ClientConfig, Implementation};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::TokioChildProcess;
use sandboxed_domain::api::{ApiError, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::Command;

use crate::cli::inside;

/// The connection. Its end ends the child.
pub(super) struct Boss {
    service: RunningService<RoleClient, ClientConfig>,
}

impl Boss {
    /// Starts `mcp-orchestrator` as the boss `name` in `directory`.
    pub(super) async fn start(name: &str, directory: &Path) -> Result<Self, ApiError> {
        let program = inside::find("mcp-orchestrator")?;
        let mut command = Command::new(&program);
        // A group of its own: Ctrl-C is for the demo, which then ends the child itself.
        command.args(["--boss", name]).current_dir(directory).process_group(0).kill_on_drop(true);
        let transport = TokioChildProcess::new(command)
            .map_err(|e| broken(format!("cannot start {}: {e}", program.display())))?;
        let mut info = ClientConfig::default();
        info.client_info = Implementation::new("sandboxed-sh-demo", env!("CARGO_PKG_VERSION"));
        let service =
            info.serve(transport).await.map_err(|e| broken(format!("{}: {e}", program.display())))?;
        Ok(Self { service })
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// The tool's own error, or a broken connection.
    pub(super) async fn call<P: Serialize, R: DeserializeOwned>(
        &self,
        tool: &'static str,
        params: &P,
    ) -> Result<R, ApiError> {
        let arguments = serde_json::to_value(params).map_err(|e| broken(format!("{tool}: {e}")))?;
        let mut request = CallToolRequestParams::new(tool);
        request.arguments = arguments.as_object().cloned();
        let result = self.service.call_tool(request).await.map_err(|e| broken(format!("{tool}: {e}")))?;
        read(tool, result)
    }

    /// Closes the child's stdin and waits for its end.
    pub(super) async fn end(self) {
        // An end that is not clean is still an end: the child is killed when it does not go by itself.
        let _ = self.service.cancel().await;
    }
}

fn read<R: DeserializeOwned>(tool: &str, result: CallToolResult) -> Result<R, ApiError> {
    if result.is_error == Some(true) {
        let text = result.content.first().and_then(|block| block.as_text()).map(|text| text.text.clone());
        let text = text.unwrap_or_default();
        return Err(serde_json::from_str(&text).unwrap_or_else(|_| broken(format!("{tool}: {text}"))));
    }
    let value: Value = result.structured_content.unwrap_or_default();
    serde_json::from_value(value).map_err(|e| broken(format!("{tool}: the answer does not fit: {e}")))
}

fn broken(message: String) -> ApiError {
    ApiError::new(ErrorCode::Internal, message).hint("look into the daemon's log")
}
