//! The image that a workspace has: made of its template at the first start, and anew when somebody asks for a build.
//!
//! A workspace keeps its image by name, so a template that changes meanwhile changes nothing that runs or starts again;
//! a build does, from the next start on. Images are shared by all workspaces of the same recipe.

use std::path::PathBuf;

use sandboxed_domain::api::{ApiError, BuildProgress, ErrorCode, WorkspaceKind};
use sandboxed_domain::harness::{find, registry};
use sandboxed_domain::sandbox::{DEFAULT_TEMPLATE, Template, resolve_template};

use super::records::Workspaces;
use crate::harness::{bootstrap_variable, is_on};
use crate::sandbox::image::{self, BUILD_PATIENCE, ImageRecipe};
use crate::store::{self, WorkspaceRow, blocking};

/// The template of a workspace.
pub fn template_name(row: &WorkspaceRow) -> &str {
    row.spec.template.as_deref().unwrap_or(DEFAULT_TEMPLATE)
}

impl Workspaces {
    /// A template with all that it extends; those of the Library go before built-in ones.
    ///
    /// # Errors
    /// `invalid_argument` on `template`.
    pub fn template(&self, name: &str) -> Result<Template, ApiError> {
        let library = self.library.read();
        let file = format!("templates/{name}.toml");
        if let Some(problem) = library.problems.iter().find(|problem| problem.path == file) {
            return Err(ApiError::invalid(
                "template",
                format!("the Library's template is not sound: {problem}"),
            )
            .hint("mend the file, or name another template"));
        }
        resolve_template(name, &|name| library.templates.get(name).cloned())
    }

    /// The template of a workspace; nothing for the host's.
    ///
    /// # Errors
    /// As [`Workspaces::template`].
    pub fn template_of(&self, row: &WorkspaceRow) -> Result<Template, ApiError> {
        match row.kind {
            WorkspaceKind::Host => Ok(Template::default()),
            WorkspaceKind::Container => self.template(template_name(row)),
        }
    }

    /// Root of an image by its name.
    pub(super) fn image_root(&self, id: &str) -> Option<PathBuf> {
        self.images.find(id).map(|image| image.rootfs)
    }

    /// The image for a start: the one the workspace has, else that of its template.
    pub(super) async fn image_for_start(
        &self,
        row: &WorkspaceRow,
        progress: &(dyn Fn(BuildProgress) + Send + Sync),
    ) -> Result<PathBuf, ApiError> {
        match row.spec.image.as_deref().and_then(|id| self.images.find(id)) {
            Some(image) => Ok(image.rootfs),
            None => self.build(row, progress).await,
        }
    }

    /// Makes the image of the workspace's template as it is now, if it is not there, and gives it to the workspace from
    /// its next start on.
    ///
    /// # Errors
    /// The template's or the build's; the workspace keeps the image it has.
    pub async fn build(
        &self,
        row: &WorkspaceRow,
        progress: &(dyn Fn(BuildProgress) + Send + Sync),
    ) -> Result<PathBuf, ApiError> {
        let name = template_name(row).to_owned();
        let template = self.template(&name)?;
        let recipe = {
            let template = template.clone();
            blocking(move || ImageRecipe::of_template(&name, &template)).await??
        };
        let told = |step: image::BuildProgress| {
            let text = format!("{} {}", step.phase, step.detail).trim_end().to_owned();
            progress(BuildProgress { percent: step.percent, text });
        };
        let image = self.images.ensure(&recipe, BUILD_PATIENCE, told).await?;
        self.bootstrap(&template, progress).await?;
        let (id, pinned) = (row.id.to_string(), image.record.id.clone());
        self.store
            .write(move |tx| {
                let Some(mut row) = store::find_workspace(tx, &id)? else { return Ok(()) };
                row.spec.image = Some(pinned);
                row.spec.env = template.env;
                store::save_workspace(tx, &row)
            })
            .await?;
        Ok(image.rootfs)
    }

    /// Installs the programs that settings want in every image or the template in this one. They are shared, so this is
    /// done once.
    async fn bootstrap(
        &self,
        template: &Template,
        progress: &(dyn Fn(BuildProgress) + Send + Sync),
    ) -> Result<(), ApiError> {
        for name in &template.clis {
            find(name).map_err(|error| {
                ApiError::new(ErrorCode::InvalidArgument, format!("clis: {}", error.message))
                    .field("template")
                    .hint(error.hint)
            })?;
        }
        for harness in registry() {
            let wanted =
                is_on(&bootstrap_variable(harness.id())) || template.clis.iter().any(|n| n == harness.id());
            let Some(program) = harness.program().filter(|_| wanted) else { continue };
            let told = |text| progress(BuildProgress { percent: 99, text });
            self.programs.install(program, &told).await.map_err(|error| error.for_backend(*harness))?;
        }
        Ok(())
    }
}
