//! Workspaces.

use axum::Json;
use axum::body::Body as Stream;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use sandboxed_domain::api::{
    ApplyParams, ApplyResponse, CleanupParams, CleanupResponse, CreateWorkspaceParams, DestroyParams,
    ExecParams, ExecResponse, ShellInput, ShellParams, WorkspaceDiff, WorkspaceLosses, WorkspaceView,
};
use tokio::sync::mpsc;

use super::problem::{Answer, Body, Params, Problem};
use super::router::Door;

/// Steps of a build that wait for a slow client.
const STEPS: usize = 64;

pub(super) async fn list(State(door): State<Door>) -> Answer<Vec<WorkspaceView>> {
    Ok(Json(door.app.list_workspaces().await?))
}

pub(super) async fn create(
    State(door): State<Door>,
    Body(params): Body<CreateWorkspaceParams>,
) -> Answer<WorkspaceView> {
    Ok(Json(door.app.create_workspace(params).await?))
}

pub(super) async fn cleanup(
    State(door): State<Door>,
    Body(params): Body<CleanupParams>,
) -> Answer<CleanupResponse> {
    Ok(Json(door.app.cleanup(params).await?))
}

pub(super) async fn show(State(door): State<Door>, Path(id): Path<String>) -> Answer<WorkspaceView> {
    Ok(Json(door.app.show_workspace(&id).await?))
}

pub(super) async fn losses(State(door): State<Door>, Path(id): Path<String>) -> Answer<WorkspaceLosses> {
    Ok(Json(door.app.workspace_losses(&id).await?))
}

pub(super) async fn remove(
    State(door): State<Door>,
    Path(id): Path<String>,
    Params(params): Params<DestroyParams>,
) -> Result<StatusCode, Problem> {
    door.app.delete_workspace(&id, params).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One JSON document a line: each step, then the workspace or the error. A client that goes away ends the build.
pub(super) async fn build(State(door): State<Door>, Path(id): Path<String>) -> Result<Response, Problem> {
    // What is wrong before the first step has a status of its own.
    door.app.show_workspace(&id).await?;
    let (steps, heard) = mpsc::channel(STEPS);
    let work = async move {
        // A client too slow to hear every step hears the next one.
        door.app.build_workspace(&id, &|step| drop(steps.try_send(step))).await
    };
    let lines = unfold((heard, Some(Box::pin(work))), |(mut heard, work)| async move {
        let mut work = work?;
        let (text, work) = tokio::select! {
            biased;
            Some(step) = heard.recv() => (serde_json::to_string(&step), Some(work)),
            end = &mut work => match end {
                Ok(view) => (serde_json::to_string(&view), None),
                Err(error) => (serde_json::to_string(&error), None),
            },
        };
        Some((text.map(|text| text + "\n"), (heard, work)))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Stream::from_stream(lines)).into_response())
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

pub(super) async fn diff(State(door): State<Door>, Path(id): Path<String>) -> Answer<WorkspaceDiff> {
    Ok(Json(door.app.workspace_diff(&id).await?))
}

pub(super) async fn apply(
    State(door): State<Door>,
    Path(id): Path<String>,
    Body(params): Body<ApplyParams>,
) -> Answer<ApplyResponse> {
    Ok(Json(door.app.apply_workspace(&id, params).await?))
}

/// One JSON document a line, while it runs. A client that goes away ends it.
pub(super) async fn shell(
    State(door): State<Door>,
    Path(id): Path<String>,
    Body(params): Body<ShellParams>,
) -> Result<Response, Problem> {
    let shell = door.app.open_shell(&id, params).await?;
    let lines = unfold((shell, door.closing), |(mut shell, closing)| async move {
        let event = tokio::select! {
            event = shell.next() => event?,
            () = closing.cancelled() => return None,
        };
        Some((serde_json::to_string(&event).map(|text| text + "\n"), (shell, closing)))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Stream::from_stream(lines)).into_response())
}

pub(super) async fn shell_input(
    State(door): State<Door>,
    Path((id, run)): Path<(String, String)>,
    Body(params): Body<ShellInput>,
) -> Result<StatusCode, Problem> {
    door.app.shell_input(&id, &run, params).await?;
    Ok(StatusCode::NO_CONTENT)
}
