//! All routes.

use axum::extract::State;
use axum::http::{Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router, middleware};
use sandboxed_domain::api::{ApiError, ErrorCode, HealthResponse};
use sandboxed_domain::policy::head_at;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::auth::{Auth, require_token};
use super::peer::require_own_process;
use super::problem::{Answer, Problem};
use super::{control, library, orchestrator, sse, workspaces};
use crate::app::{App, Identity};

/// What handlers need.
#[derive(Clone)]
pub struct Door {
    /// The operations.
    pub app: App,
    /// What health says.
    pub health: HealthResponse,
    /// Ends streams when the daemon stops.
    pub closing: CancellationToken,
    /// Set on a mission's own socket.
    pub mission: Option<Uuid>,
}

impl Door {
    /// Who is calling: by a mission's socket that mission, whatever the body says.
    pub(super) fn identity(&self, caller: sandboxed_domain::api::Caller) -> Identity {
        match self.mission {
            Some(id) => Identity::Mission(id),
            None => Identity::Outside(caller),
        }
    }
}

async fn health(State(door): State<Door>) -> Json<HealthResponse> {
    Json(door.health)
}

/// Unknown paths, and methods that a path does not have.
async fn not_found(method: Method, uri: Uri) -> Problem {
    Problem(
        ApiError::new(ErrorCode::NotFound, format!("no route {method} {}", head_at(uri.path(), 200)))
            .hint("docs/reference.md lists the routes"),
    )
}

async fn backends(State(door): State<Door>) -> Answer<Vec<sandboxed_domain::api::BackendStatus>> {
    Ok(Json(door.app.backend_auth(Default::default()).await?.backends))
}

/// As Prometheus reads it.
async fn metrics(State(door): State<Door>) -> Result<Response, Problem> {
    const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, TEXT)], door.app.metrics().await?).into_response())
}

/// Everything, behind the token; health is open.
pub fn admin_router(door: Door, auth: Auth) -> Router {
    let missions = Router::new()
        .route("/api/control/missions", get(control::list).post(control::create))
        .route("/api/control/missions/{id}", get(control::show).delete(control::remove))
        .route("/api/control/missions/{id}/events", get(control::events))
        .route("/api/control/missions/{id}/cancel", post(control::cancel))
        .route("/api/control/missions/{id}/resume", post(control::resume))
        .route("/api/control/missions/{id}/load", post(control::load))
        .route("/api/control/message", post(control::message))
        .route("/api/control/stream", get(sse::stream))
        .route("/api/control/progress", get(control::progress))
        .route("/api/control/running", get(control::running))
        .route("/api/control/queue", get(control::queue))
        .route("/api/control/queue/{id}", delete(control::delete_queued))
        .route("/api/control/diagnostics/{backend}", get(control::diagnostics))
        .route("/api/control/requests", get(control::requests))
        .route("/api/control/requests/{id}/answer", post(control::answer));
    let spaces = Router::new()
        .route("/api/workspaces", get(workspaces::list).post(workspaces::create))
        .route("/api/workspaces/{id}", get(workspaces::show).delete(workspaces::remove))
        .route("/api/workspaces/{id}/losses", get(workspaces::losses))
        .route("/api/workspaces/{id}/build", post(workspaces::build))
        .route("/api/workspaces/{id}/start", post(workspaces::start))
        .route("/api/workspaces/{id}/stop", post(workspaces::stop))
        .route("/api/workspaces/{id}/exec", post(workspaces::exec))
        .route("/api/workspaces/{id}/shell", post(workspaces::shell))
        .route("/api/workspaces/{id}/shell/{run}", post(workspaces::shell_input))
        .route("/api/workspaces/{id}/diff", get(workspaces::diff))
        .route("/api/workspaces/{id}/apply", post(workspaces::apply));
    missions
        .merge(spaces)
        .merge(library_routes())
        .route("/api/backends", get(backends))
        .route("/metrics", get(metrics))
        .route("/api/cleanup", post(workspaces::cleanup))
        .route("/api/orchestrator/{tool}", post(orchestrator::call))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(middleware::from_fn_with_state(auth, require_token))
        .route("/api/health", get(health))
        .with_state(door)
}

fn library_routes() -> Router<Door> {
    Router::new()
        .route("/api/library", get(library::view))
        .route("/api/library/status", get(library::status))
        .route("/api/library/sync", post(library::sync))
        .route("/api/library/push", post(library::push))
        .route("/api/library/commit", post(library::commit))
        .route("/api/library/revert", post(library::revert))
        .route("/api/library/history", get(library::history))
        .route("/api/library/file", get(library::file).put(library::write).delete(library::remove))
}

/// What a mission may do by its own socket: the tools, as itself. Serve it with [`super::Peer`] as connect info.
pub fn mission_router(door: Door) -> Router {
    Router::new()
        .route("/api/orchestrator/{tool}", post(orchestrator::call))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(middleware::from_fn_with_state(door.clone(), require_own_process))
        .route("/api/health", get(health))
        .with_state(door)
}
