//! The Library.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandboxed_domain::api::{
    LibraryCommit, LibraryCommitParams, LibraryFile, LibraryFileParams, LibraryHistory, LibraryHistoryParams,
    LibraryRevertParams, LibraryStatus, LibrarySyncResponse, LibraryView, LibraryWriteParams,
};

use super::problem::{Answer, Body, Params, Problem};
use super::router::Door;

pub(super) async fn view(State(door): State<Door>) -> Answer<LibraryView> {
    Ok(Json(door.app.library().view().await?))
}

pub(super) async fn status(State(door): State<Door>) -> Answer<LibraryStatus> {
    Ok(Json(door.app.library().status().await?))
}

pub(super) async fn sync(State(door): State<Door>) -> Answer<LibrarySyncResponse> {
    Ok(Json(door.app.library().sync().await?))
}

pub(super) async fn push(State(door): State<Door>) -> Answer<LibraryStatus> {
    Ok(Json(door.app.library().push().await?))
}

pub(super) async fn commit(
    State(door): State<Door>,
    Body(params): Body<LibraryCommitParams>,
) -> Answer<LibraryCommit> {
    Ok(Json(door.app.library().commit(params).await?))
}

pub(super) async fn revert(
    State(door): State<Door>,
    Body(params): Body<LibraryRevertParams>,
) -> Answer<Option<LibraryCommit>> {
    Ok(Json(door.app.library().revert(params).await?))
}

pub(super) async fn history(
    State(door): State<Door>,
    Params(params): Params<LibraryHistoryParams>,
) -> Answer<LibraryHistory> {
    Ok(Json(door.app.library().history(params).await?))
}

pub(super) async fn file(
    State(door): State<Door>,
    Params(params): Params<LibraryFileParams>,
) -> Answer<LibraryFile> {
    Ok(Json(door.app.library().file(params).await?))
}

pub(super) async fn write(
    State(door): State<Door>,
    Body(params): Body<LibraryWriteParams>,
) -> Answer<LibraryFile> {
    Ok(Json(door.app.library().write(params).await?))
}

pub(super) async fn remove(
    State(door): State<Door>,
    Params(params): Params<LibraryFileParams>,
) -> Result<StatusCode, Problem> {
    door.app.library().remove(params).await?;
    Ok(StatusCode::NO_CONTENT)
}
