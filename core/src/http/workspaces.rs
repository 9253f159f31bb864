//! Workspaces.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sandboxed_domain::api::{CreateWorkspaceParams, ExecParams, ExecResponse, WorkspaceView};

use super::problem::{Answer, Body, Problem};
use super::router::Door;

pub(super) async fn list(State(door): State<Door>) -> Answer<Vec<WorkspaceView>> {
    Ok(Json(door.app.list_workspaces().await?))
}

pub(super) async fn create(
    State(door): State<Door>,
    Body(params): Body<CreateWorkspaceParams>,
) -> Answer<WorkspaceView> {
    Ok(Json(door.app.create_workspace(params).await?))
}

pub(super) async fn show(State(door): State<Door>, Path(id): Path<String>) -> Answer<WorkspaceView> {
    Ok(Json(door.app.show_workspace(&id).await?))
}

pub(super) async fn remove(State(door): State<Door>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    door.app.delete_workspace(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn build(State(door): State<Door>, Path(id): Path<String>) -> Answer<WorkspaceView> {
    Ok(Json(door.app.build_workspace(&id).await?))
}

pub(super) async fn start(State(door): State<Door>, Path(id): Path<String>) -> Answer<WorkspaceView> {
    Ok(Json(door.app.start_workspace(&id).await?))
}

pub(super) async fn stop(State(door): State<Door>, Path(id): Path<String>) -> Answer<WorkspaceView> {
    Ok(Json(door.app.stop_workspace(&id).await?))
}

pub(super) async fn exec(
    State(door): State<Door>,
    Path(id): Path<String>,
    Body(params): Body<ExecParams>,
) -> Answer<ExecResponse> {
    Ok(Json(door.app.exec(&id, params).await?))
}
