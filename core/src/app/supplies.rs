//! What missions may ask of the Library.

use sandboxed_domain::api::ApiError;

use super::App;
use crate::library::LibraryFolder;
use crate::mission::check_supplies;
use crate::store::{MissionRow, blocking};

impl App {
    /// The Library.
    pub fn library(&self) -> &LibraryFolder {
        self.workspaces.library()
    }

    /// Whether the Library has what a new mission asks for, and its backend takes it.
    ///
    /// # Errors
    /// `invalid_argument` or `not_available`, by field.
    pub(super) async fn check_supplies(&self, row: &MissionRow) -> Result<(), ApiError> {
        let spec = &row.spec;
        if spec.config_profile.is_none() && spec.agent.is_none() && spec.mcps.is_empty() {
            return Ok(());
        }
        let (folder, spec, backend) = (self.library().clone(), spec.clone(), row.backend.clone());
        blocking(move || check_supplies(&folder.read(), &backend, &spec)).await?
    }
}
