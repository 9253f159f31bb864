//! Backends: which there are and whether they could start.

use sandboxed_domain::api::{ApiError, BackendAuthParams, BackendAuthResponse, BackendStatus, ErrorCode};
use sandboxed_domain::harness::{self, Harness};

use super::App;
use crate::store::blocking;

impl App {
    /// The truth about each backend, without asking the network.
    ///
    /// # Errors
    /// `unknown_backend`.
    pub async fn backend_auth(&self, params: BackendAuthParams) -> Result<BackendAuthResponse, ApiError> {
        let wanted: Vec<&'static dyn Harness> = match params.backend {
            Some(id) => vec![harness::find(&id)?],
            None => harness::registry().to_vec(),
        };
        let programs = self.workspaces.programs().clone();
        let logins = self.missions.settings().logins.clone();
        let status = move |harness| programs.backend_status(harness, &logins);
        let mut rows: Vec<BackendStatus> = blocking(move || wanted.into_iter().map(status).collect()).await?;
        for row in &mut rows {
            let settings = self.missions.settings();
            if let Some(model) = settings.default_model(&row.backend) {
                row.default_model = model.to_owned();
            }
            row.default_effort = settings.default_effort(&row.backend);
        }
        Ok(BackendAuthResponse { backends: rows })
    }

    /// Refuses what could not start anyway, with the reason.
    pub(super) async fn require_ready(&self, harness: &'static dyn Harness) -> Result<(), ApiError> {
        let programs = self.workspaces.programs().clone();
        let logins = self.missions.settings().logins.clone();
        let status = blocking(move || programs.backend_status(harness, &logins)).await?;
        if status.ready {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::BackendNotReady, format!("backend {} is not ready", status.backend))
            .field("backend")
            .hint(status.reason))
    }
}
