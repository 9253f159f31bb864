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
        let credentials = self.missions.settings().credentials.clone();
        let status = move |harness| programs.backend_status(harness, &credentials);
        let mut rows: Vec<BackendStatus> = blocking(move || wanted.into_iter().map(status).collect()).await?;
        for row in &mut rows {
            let settings = self.missions.settings();
            if let Some(model) = settings.default_model(&row.backend) {
                row.default_model = model.to_owned();
            }
            row.default_effort = settings.default_effort(&row.backend);
            for (label, until) in self.missions.limited(harness::find(&row.backend)?).await? {
                row.reason.push_str(&format!("; {label} is limited until {}", until.format("%F %T UTC")));
            }
        }
        Ok(BackendAuthResponse { backends: rows })
    }

    /// Refuses what could not start anyway, with the reason.
    pub(super) async fn require_ready(&self, harness: &'static dyn Harness) -> Result<(), ApiError> {
        let programs = self.workspaces.programs().clone();
        let credentials = self.missions.settings().credentials.clone();
        let status = blocking(move || programs.backend_status(harness, &credentials)).await?;
        if status.ready {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::BackendNotReady, format!("backend {} is not ready", status.backend))
            .field("backend")
            .hint(status.reason))
    }
}
