//! Missions, messages and requests.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sandboxed_domain::api::{
    AnswerWorkerResponse, ApiError, BackendAuthParams, BackendStatus, CreateMissionParams, Decision,
    EventPage, EventsParams, ListMissionsParams, MessageParams, MessageResponse, MissionPage, MissionView,
    ProgressView, QueuedMessage, RequestView, ResumeMissionParams,
};
use serde::Deserialize;
use uuid::Uuid;

use super::problem::{Answer, Body, Params, Problem};
use super::router::Door;

fn mission_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| {
        Problem(
            ApiError::new(sandboxed_domain::api::ErrorCode::NotFound, format!("no mission {text:?}"))
                .field("mission_id")
                .hint("a mission's id is a UUID; list them with `sandboxed-sh mission list`"),
        )
    })
}

pub(super) async fn list(
    State(door): State<Door>,
    Params(params): Params<ListMissionsParams>,
) -> Answer<MissionPage> {
    Ok(Json(door.app.list_missions(params).await?))
}

pub(super) async fn create(
    State(door): State<Door>,
    Body(params): Body<CreateMissionParams>,
) -> Answer<MissionView> {
    Ok(Json(door.app.create_mission(params).await?))
}

pub(super) async fn show(State(door): State<Door>, Path(id): Path<String>) -> Answer<MissionView> {
    Ok(Json(door.app.mission(mission_id(&id)?).await?))
}

pub(super) async fn remove(State(door): State<Door>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    door.app.delete_mission(mission_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn events(
    State(door): State<Door>,
    Path(id): Path<String>,
    Params(params): Params<EventsParams>,
) -> Answer<EventPage> {
    Ok(Json(door.app.events(mission_id(&id)?, params).await?))
}

pub(super) async fn cancel(State(door): State<Door>, Path(id): Path<String>) -> Answer<MissionView> {
    Ok(Json(door.app.cancel_mission(mission_id(&id)?).await?))
}

pub(super) async fn resume(
    State(door): State<Door>,
    Path(id): Path<String>,
    Body(params): Body<ResumeMissionParams>,
) -> Answer<MissionView> {
    Ok(Json(door.app.resume_mission(mission_id(&id)?, params).await?))
}

pub(super) async fn load(State(door): State<Door>, Path(id): Path<String>) -> Answer<MissionView> {
    Ok(Json(door.app.load_mission(mission_id(&id)?).await?))
}

pub(super) async fn message(
    State(door): State<Door>,
    Body(params): Body<MessageParams>,
) -> Answer<MessageResponse> {
    Ok(Json(door.app.message(params).await?))
}

pub(super) async fn progress(State(door): State<Door>) -> Answer<Vec<ProgressView>> {
    Ok(Json(door.app.progress(true).await?))
}

pub(super) async fn running(State(door): State<Door>) -> Answer<Vec<ProgressView>> {
    Ok(Json(door.app.progress(false).await?))
}

pub(super) async fn queue(State(door): State<Door>) -> Answer<Vec<QueuedMessage>> {
    Ok(Json(door.app.queue().await?))
}

pub(super) async fn delete_queued(
    State(door): State<Door>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    door.app.delete_queued(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn diagnostics(
    State(door): State<Door>,
    Path(backend): Path<String>,
) -> Answer<Option<BackendStatus>> {
    let answer = door.app.backend_auth(BackendAuthParams { backend: Some(backend) }).await?;
    Ok(Json(answer.backends.into_iter().next()))
}

pub(super) async fn requests(State(door): State<Door>) -> Answer<Vec<RequestView>> {
    Ok(Json(door.app.requests().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerBody {
    #[serde(default, rename = "request_id")]
    _request_id: Option<String>,
    #[serde(default)]
    decision: Option<Decision>,
    #[serde(default)]
    answer: Option<String>,
}

pub(super) async fn answer(
    State(door): State<Door>,
    Path(id): Path<String>,
    Body(body): Body<AnswerBody>,
) -> Answer<AnswerWorkerResponse> {
    Ok(Json(door.app.answer_request(id, body.decision, body.answer).await?))
}
