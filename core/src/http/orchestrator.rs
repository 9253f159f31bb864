//! The tools.

use axum::Json;
use axum::extract::{Path, State};
use sandboxed_domain::api::ToolCall;
use serde_json::Value;

use super::problem::{Answer, Body};
use super::router::Door;

pub(super) async fn call(
    State(door): State<Door>,
    Path(tool): Path<String>,
    Body(call): Body<ToolCall>,
) -> Answer<Value> {
    let identity = door.identity(call.caller);
    Ok(Json(door.app.call_tool(&identity, &tool, call.params).await?))
}
