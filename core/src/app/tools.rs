//! The tools by name: from JSON to the typed operation and back.

use sandboxed_domain::api::{ApiError, ErrorCode, NoParams, TOOL_NAMES};
use sandboxed_domain::policy::parse_params;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::App;
use super::caller::Identity;

impl App {
    /// Calls a tool.
    ///
    /// # Errors
    /// Unknown tool, bad parameters with the field's name, or the operation's own error.
    pub async fn call_tool(&self, identity: &Identity, name: &str, params: Value) -> Result<Value, ApiError> {
        match name {
            "get_workspace_layout" => {
                read::<NoParams>(&params)?;
                write(self.layout(identity).await?)
            }
            "get_backend_auth_status" => write(self.backend_auth(read(&params)?).await?),
            "batch_create_workers" => write(self.batch_create(identity, read(&params)?).await?),
            "wait_for_any_worker" => write(self.wait(identity, read(&params)?).await?),
            "get_worker" => write(self.get_worker(identity, read(&params)?).await?),
            "list_workers" => write(self.list_workers(identity, read(&params)?).await?),
            "resume_worker" => write(self.resume_worker(identity, read(&params)?).await?),
            "send_message_to_worker" => write(self.send_message(identity, read(&params)?).await?),
            "cancel_worker" => write(self.cancel_workers(identity, read(&params)?).await?),
            "answer_worker" => write(self.answer_worker(identity, read(&params)?).await?),
            "report_outcome" => write(self.report_outcome(identity, read(&params)?).await?),
            other => Err(ApiError::new(ErrorCode::NotFound, format!("no tool {other:?}"))
                .hint(format!("the tools are {}", TOOL_NAMES.join(", ")))),
        }
    }
}

fn read<T: DeserializeOwned>(params: &Value) -> Result<T, ApiError> {
    let none = json!({});
    parse_params(if params.is_null() { &none } else { params }, "")
}

fn write<T: Serialize>(answer: T) -> Result<Value, ApiError> {
    serde_json::to_value(answer).map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
}
