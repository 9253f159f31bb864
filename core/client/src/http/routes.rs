//! Every route as a method. Ids are sent as they are given; the daemon decides whether they exist.

use std::time::Duration;

use reqwest::Method;
use sandboxed_domain::api::{
    AnswerWorkerParams, AnswerWorkerResponse, ApiError, ApplyParams, ApplyResponse, BackendStatus,
    BuildProgress, Caller, CleanupParams, CleanupResponse, CreateMissionParams, CreateWorkspaceParams,
    Decision, EventPage, EventsParams, ExecParams, ExecResponse, HealthResponse, ListMissionsParams,
    MessageParams, MessageResponse, MissionPage, MissionView, ProgressView, QueuedMessage, RequestView,
    ResumeMissionParams, ShellEvent, ShellInput, ShellParams, WorkspaceDiff, WorkspaceLosses, WorkspaceView,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    client::{CALL_TIMEOUT, Client, Limit},
    failure::Failure,
};

/// A health check that takes longer means a daemon that does not serve.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// A clean-up looks at every file of many missions.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(1800);
/// What `exec` may take beyond its own time limit: starting the sandbox and killing the run.
const EXEC_MARGIN: Duration = Duration::from_secs(120);
/// Time limit of `exec` when the caller names none, in seconds.
const EXEC_DEFAULT_SECONDS: u64 = 60;

const SHORT: Limit = Limit::Within(CALL_TIMEOUT);

/// Service and tools.
impl Client {
    /// `GET /api/health`.
    pub async fn health(&self) -> Result<HealthResponse, ApiError> {
        let request = self.request(Method::GET, "/api/health")?;
        Ok(self.fetch(request, Limit::Within(HEALTH_TIMEOUT)).await?)
    }

    /// `POST /api/orchestrator/{name}`: one tool of the boss or the worker.
    pub async fn tool<P: Serialize, R: DeserializeOwned>(
        &self,
        name: &str,
        caller: &Caller,
        params: &P,
    ) -> Result<R, ApiError> {
        let limit = if name == "wait_for_any_worker" { Limit::Open } else { SHORT };
        Ok(self.try_tool(name, caller, params, limit).await?)
    }

    /// The same, telling whether a failed call may have been acted on.
    pub async fn try_tool<P: Serialize, R: DeserializeOwned>(
        &self,
        name: &str,
        caller: &Caller,
        params: &P,
        limit: Limit,
    ) -> Result<R, Failure> {
        let request = self.request(Method::POST, &format!("/api/orchestrator/{name}"))?;
        self.fetch(request.json(&json!({"caller": caller, "params": params})), limit).await
    }

    /// `GET /api/backends`.
    pub async fn backends(&self) -> Result<Vec<BackendStatus>, ApiError> {
        self.get("/api/backends", &()).await
    }

    /// `GET /metrics`, as Prometheus text.
    pub async fn metrics(&self) -> Result<String, ApiError> {
        let response = self.send(self.request(Method::GET, "/metrics")?, SHORT).await?;
        Ok(super::events::read_text(response, self).await?)
    }
}

/// Missions.
impl Client {
    /// `GET /api/control/missions`, newest first.
    pub async fn list_missions(&self, params: &ListMissionsParams) -> Result<MissionPage, ApiError> {
        self.get("/api/control/missions", params).await
    }

    /// `POST /api/control/missions`; with a prompt it starts at once.
    pub async fn create_mission(&self, params: &CreateMissionParams) -> Result<MissionView, ApiError> {
        self.post("/api/control/missions", params, SHORT).await
    }

    /// `GET /api/control/missions/:id`.
    pub async fn mission(&self, id: Uuid) -> Result<MissionView, ApiError> {
        self.get(&mission_path(id, ""), &()).await
    }

    /// `DELETE /api/control/missions/:id`.
    pub async fn delete_mission(&self, id: Uuid) -> Result<(), ApiError> {
        self.delete(&mission_path(id, "")).await
    }

    /// `POST /api/cleanup`.
    pub async fn cleanup(&self, params: &CleanupParams) -> Result<CleanupResponse, ApiError> {
        self.post("/api/cleanup", params, Limit::Within(CLEANUP_TIMEOUT)).await
    }

    /// `POST /api/control/missions/:id/cancel`.
    pub async fn cancel_mission(&self, id: Uuid) -> Result<MissionView, ApiError> {
        self.post(&mission_path(id, "/cancel"), &json!({}), SHORT).await
    }

    /// `POST /api/control/missions/:id/resume`.
    pub async fn resume_mission(
        &self,
        id: Uuid,
        params: &ResumeMissionParams,
    ) -> Result<MissionView, ApiError> {
        self.post(&mission_path(id, "/resume"), params, SHORT).await
    }

    /// `POST /api/control/missions/:id/load`: later messages without an id go to it.
    pub async fn load_mission(&self, id: Uuid) -> Result<MissionView, ApiError> {
        self.post(&mission_path(id, "/load"), &json!({}), SHORT).await
    }

    /// `GET /api/control/missions/:id/events`.
    pub async fn events(&self, id: Uuid, params: &EventsParams) -> Result<EventPage, ApiError> {
        self.get(&mission_path(id, "/events"), params).await
    }

    /// `POST /api/control/message`.
    pub async fn message(&self, params: &MessageParams) -> Result<MessageResponse, ApiError> {
        self.post("/api/control/message", params, SHORT).await
    }
}

/// What goes on.
impl Client {
    /// `GET /api/control/progress`.
    pub async fn progress(&self) -> Result<Vec<ProgressView>, ApiError> {
        self.get("/api/control/progress", &()).await
    }

    /// `GET /api/control/running`.
    pub async fn running(&self) -> Result<Vec<ProgressView>, ApiError> {
        self.get("/api/control/running", &()).await
    }

    /// `GET /api/control/queue`.
    pub async fn queue(&self) -> Result<Vec<QueuedMessage>, ApiError> {
        self.get("/api/control/queue", &()).await
    }

    /// `DELETE /api/control/queue/:id`.
    pub async fn delete_queued(&self, id: &str) -> Result<(), ApiError> {
        self.delete(&format!("/api/control/queue/{}", segment(id))).await
    }

    /// `GET /api/control/diagnostics/:backend`.
    pub async fn diagnostics(&self, backend: &str) -> Result<Value, ApiError> {
        self.get(&format!("/api/control/diagnostics/{}", segment(backend)), &()).await
    }

    /// `GET /api/control/requests`: pending questions and permissions.
    pub async fn requests(&self) -> Result<Vec<RequestView>, ApiError> {
        self.get("/api/control/requests", &()).await
    }

    /// `POST /api/control/requests/:id/answer`.
    pub async fn answer_request(
        &self,
        id: &str,
        decision: Option<Decision>,
        answer: Option<String>,
    ) -> Result<AnswerWorkerResponse, ApiError> {
        let params = AnswerWorkerParams { request_id: id.to_owned(), decision, answer };
        self.post(&format!("/api/control/requests/{}/answer", segment(id)), &params, SHORT).await
    }
}

/// Workspaces; `id` is an id or a name.
impl Client {
    /// `GET /api/workspaces`.
    pub async fn list_workspaces(&self) -> Result<Vec<WorkspaceView>, ApiError> {
        self.get("/api/workspaces", &()).await
    }

    /// `POST /api/workspaces`.
    pub async fn create_workspace(&self, params: &CreateWorkspaceParams) -> Result<WorkspaceView, ApiError> {
        self.post("/api/workspaces", params, SHORT).await
    }

    /// `GET /api/workspaces/:id`.
    pub async fn workspace(&self, id: &str) -> Result<WorkspaceView, ApiError> {
        self.get(&workspace_path(id, ""), &()).await
    }

    /// `GET /api/workspaces/:id/losses`.
    pub async fn workspace_losses(&self, id: &str) -> Result<WorkspaceLosses, ApiError> {
        self.get(&workspace_path(id, "/losses"), &()).await
    }

    /// `DELETE /api/workspaces/:id`, as long as nothing is lost.
    pub async fn delete_workspace(&self, id: &str) -> Result<(), ApiError> {
        self.delete(&workspace_path(id, "")).await
    }

    /// The same whatever is lost.
    pub async fn destroy_workspace(&self, id: &str) -> Result<(), ApiError> {
        self.delete(&workspace_path(id, "?yes=true")).await
    }

    /// `POST /api/workspaces/:id/shell`; returns when the program at the terminal has ended. `event` hears of its start,
    /// all that it shows, and its end.
    ///
    /// # Errors
    /// It cannot be started, or the connection breaks, by which it ends.
    pub async fn shell(
        &self,
        id: &str,
        params: &ShellParams,
        event: impl FnMut(ShellEvent) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &workspace_path(id, "/shell"))?.json(params);
        let response = self.send(request, Limit::Open).await?;
        super::shell::follow(response, &self.settings().endpoint.to_string(), event).await
    }

    /// `POST /api/workspaces/:id/shell/:run`: keys and another size.
    pub async fn shell_input(&self, id: &str, run: &str, input: &ShellInput) -> Result<(), ApiError> {
        let path = workspace_path(id, &format!("/shell/{}", segment(run)));
        self.send(self.request(Method::POST, &path)?.json(input), SHORT).await?;
        Ok(())
    }

    /// `GET /api/workspaces/:id/diff`: what a fork changed.
    pub async fn workspace_diff(&self, id: &str) -> Result<WorkspaceDiff, ApiError> {
        self.get(&workspace_path(id, "/diff"), &()).await
    }

    /// `POST /api/workspaces/:id/apply`: carries it over.
    pub async fn apply_workspace(&self, id: &str, params: &ApplyParams) -> Result<ApplyResponse, ApiError> {
        self.post(&workspace_path(id, "/apply"), params, Limit::Within(CLEANUP_TIMEOUT)).await
    }

    /// `POST /api/workspaces/:id/build`; returns when the image is there, which can take minutes. `progress` hears
    /// each step.
    ///
    /// # Errors
    /// The build's own error, or `DaemonUnreachable` when the connection breaks.
    pub async fn build_workspace(
        &self,
        id: &str,
        progress: impl FnMut(BuildProgress),
    ) -> Result<WorkspaceView, ApiError> {
        let request = self.request(Method::POST, &workspace_path(id, "/build"))?.json(&json!({}));
        let response = self.send(request, Limit::Open).await?;
        super::build::follow(response, progress).await
    }

    /// `POST /api/workspaces/:id/start`; builds the image first where it is missing.
    pub async fn start_workspace(&self, id: &str) -> Result<WorkspaceView, ApiError> {
        self.post(&workspace_path(id, "/start"), &json!({}), Limit::Open).await
    }

    /// `POST /api/workspaces/:id/stop`.
    pub async fn stop_workspace(&self, id: &str) -> Result<WorkspaceView, ApiError> {
        self.post(&workspace_path(id, "/stop"), &json!({}), SHORT).await
    }

    /// `POST /api/workspaces/:id/exec`.
    pub async fn exec(&self, id: &str, params: &ExecParams) -> Result<ExecResponse, ApiError> {
        let own = Duration::from_secs(params.timeout_seconds.unwrap_or(EXEC_DEFAULT_SECONDS));
        let limit = Limit::Within(own.saturating_add(EXEC_MARGIN));
        self.post(&workspace_path(id, "/exec"), params, limit).await
    }
}

fn mission_path(id: Uuid, rest: &str) -> String {
    format!("/api/control/missions/{id}{rest}")
}

fn workspace_path(id: &str, rest: &str) -> String {
    format!("/api/workspaces/{}{rest}", segment(id))
}

/// One path segment: every byte that is not plain is percent-encoded, so that an id cannot name another route.
fn segment(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn an_id_stays_one_path_segment() {
        for (id, want) in
            [("ab-1_Z", "ab-1_Z"), ("../x", "%2E%2E%2Fx"), ("a?b#c", "a%3Fb%23c"), ("é", "%C3%A9")]
        {
            assert_eq!(segment(id), want);
        }
    }
}
