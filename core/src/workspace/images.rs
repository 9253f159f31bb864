//! The image that a workspace has: made of its template at the first start, and anew when somebody asks for a build.
//!
//! A workspace keeps its image by name, so a template that changes meanwhile changes nothing that runs or starts again;
//! a build does, from the next start on. Images are shared by all workspaces of the same recipe.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use sandboxed_domain::api::{
    ApiError, BuildProgress, BuildState, ErrorCode, Limits, WorkspaceBuild, WorkspaceKind, WorkspaceWarning,
};
use sandboxed_domain::harness::{find, registry};
use sandboxed_domain::library::Library;
use sandboxed_domain::policy::{DiskWish, disk_wish, tail_at};
use sandboxed_domain::sandbox::{DEFAULT_TEMPLATE, Template, TemplateSources, resolve_template};
use tokio::sync::Notify;
use uuid::Uuid;

use super::records::Workspaces;
use crate::harness::{bootstrap_variable, is_on};
use crate::sandbox::image::{self, BUILD_PATIENCE, ImageRecipe};
use crate::store::{self, FailedBuild, WorkspaceRow, WorkspaceSpec, blocking};

/// Bytes of a log's end that are shown.
const SHOWN_LOG: u64 = 4 << 10;

/// The template of a workspace.
pub fn template_name(row: &WorkspaceRow) -> &str {
    row.spec.template.as_deref().unwrap_or(DEFAULT_TEMPLATE)
}

/// The template of a workspace, as the Library that was read has it; nothing for the host's.
///
/// # Errors
/// As [`Workspaces::template`].
pub fn template_of(row: &WorkspaceRow, library: &Library) -> Result<Template, ApiError> {
    match row.kind {
        WorkspaceKind::Host => Ok(Template::default()),
        WorkspaceKind::Container => template_in(library, template_name(row)),
    }
}

fn template_in(library: &Library, name: &str) -> Result<Template, ApiError> {
    let sources = TemplateSources {
        templates: &|name| library.template(name),
        scripts: &|name| library.init_scripts.get(name).cloned(),
    };
    resolve_template(name, &sources)
}

/// As the doors tell it.
fn shown(step: image::BuildProgress) -> BuildProgress {
    BuildProgress {
        percent: step.percent,
        text: format!("{} {}", step.phase, step.detail).trim_end().to_owned(),
        packages_done: step.packages_done,
        packages_total: step.packages_total,
        bytes_done: step.bytes_done,
        bytes_total: step.bytes_total,
        seconds_left: step.seconds_left,
    }
}

/// The end of a build's log.
pub fn log_tail(log: &Path) -> Option<String> {
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_LOG))).ok()?;
    let mut bytes = Vec::new();
    file.take(SHOWN_LOG).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // A line that is not whole says nothing.
    let whole = if length > SHOWN_LOG {
        text.split_once('\n').map_or(text.as_str(), |(_, rest)| rest)
    } else {
        &text
    };
    Some(tail_at(whole, SHOWN_LOG as usize).to_owned())
}

/// Builds that are under way, by workspace: how far they are, for those who look at it.
#[derive(Default)]
pub(super) struct Builds {
    under_way: Mutex<HashMap<Uuid, (String, BuildProgress)>>,
    begun: Notify,
}

impl Builds {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (String, BuildProgress)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when a build for this workspace is under way.
    pub(super) async fn begun(&self, id: Uuid) {
        loop {
            let next = self.begun.notified();
            tokio::pin!(next);
            next.as_mut().enable();
            if self.lock().contains_key(&id) {
                return;
            }
            next.await;
        }
    }

    fn begin(self: &Arc<Self>, id: Uuid, image: &str) -> Building {
        self.lock().insert(id, (image.to_owned(), BuildProgress::default()));
        self.begun.notify_waiters();
        Building { builds: Arc::clone(self), id }
    }

    fn of(&self, id: Uuid) -> Option<(String, BuildProgress)> {
        self.lock().get(&id).cloned()
    }
}

/// One that ends with whoever waits for it.
struct Building {
    builds: Arc<Builds>,
    id: Uuid,
}

impl Building {
    fn tell(&self, step: &BuildProgress) {
        if let Some((_, progress)) = self.builds.lock().get_mut(&self.id) {
            progress.clone_from(step);
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.builds.lock().remove(&self.id);
    }
}

impl Workspaces {
    /// A template with all that it extends; those of the Library go before built-in ones.
    ///
    /// # Errors
    /// `invalid_argument` on `template`.
    pub fn template(&self, name: &str) -> Result<Template, ApiError> {
        template_in(&self.library.read(), name)
    }

    /// What the workspace's template says by now and it does not get.
    pub fn warnings(&self, row: &WorkspaceRow) -> Vec<WorkspaceWarning> {
        // A template that cannot be read is told of by the next build.
        let Ok(template) = template_of(row, &self.library.read()) else { return Vec::new() };
        match disk_wish(row.spec.limits.disk_bytes, template.limits.disk_bytes) {
            DiskWish::Unmet(warning) => vec![warning],
            DiskWish::Met | DiskWish::Grows(_) => Vec::new(),
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
    /// The template's or the build's; the workspace keeps the image it has, and the failure is noted.
    pub async fn build(
        &self,
        row: &WorkspaceRow,
        progress: &(dyn Fn(BuildProgress) + Send + Sync),
    ) -> Result<PathBuf, ApiError> {
        let mut image = None;
        let made = self.make_image(row, &mut image, progress).await;
        if let Err(error) = &made {
            let hint = if error.hint.is_empty() { String::new() } else { format!(" ({})", error.hint) };
            let error = format!("{}{hint}", error.message);
            let failed = FailedBuild { image, error, failed_at: Utc::now() };
            self.change_spec(row.id, move |spec| spec.failed_build = Some(failed)).await?;
        }
        made
    }

    async fn make_image(
        &self,
        row: &WorkspaceRow,
        named: &mut Option<String>,
        progress: &(dyn Fn(BuildProgress) + Send + Sync),
    ) -> Result<PathBuf, ApiError> {
        let name = template_name(row).to_owned();
        let template = self.template(&name)?;
        let recipe = {
            let template = template.clone();
            blocking(move || ImageRecipe::of_template(&name, &template)).await??
        };
        *named = Some(recipe.id());
        let disk = match disk_wish(row.spec.limits.disk_bytes, template.limits.disk_bytes) {
            DiskWish::Grows(bytes) => Some(bytes),
            DiskWish::Met | DiskWish::Unmet(_) => None,
        };
        self.check_disk(&Limits { disk_bytes: disk, ..Limits::default() })?;
        let building = self.builds.begin(row.id, &recipe.id());
        let told = |step: BuildProgress| {
            building.tell(&step);
            progress(step);
        };
        let of_image = |step: image::BuildProgress| told(shown(step));
        let image =
            self.images.ensure(&recipe, BUILD_PATIENCE, of_image).await.map_err(|e| ApiError::from(&*e))?;
        self.bootstrap(&template, &told).await?;
        let pinned = image.record.id.clone();
        self.change_spec(row.id, move |spec| {
            spec.image = Some(pinned);
            spec.env = template.env;
            spec.limits.disk_bytes = disk.or(spec.limits.disk_bytes);
            spec.failed_build = None;
        })
        .await?;
        Ok(image.rootfs)
    }

    async fn change_spec(
        &self,
        id: Uuid,
        change: impl FnOnce(&mut WorkspaceSpec) + Send + 'static,
    ) -> Result<(), ApiError> {
        let id = id.to_string();
        let written = self.store.write(move |tx| {
            let Some(mut row) = store::find_workspace(tx, &id)? else { return Ok(()) };
            change(&mut row.spec);
            store::save_workspace(tx, &row)
        });
        Ok(written.await?)
    }

    /// The build that is under way for a workspace, else the last one if it failed.
    pub(super) fn build_of(&self, row: &WorkspaceRow) -> Option<WorkspaceBuild> {
        let log = |image: &Option<String>| Some(self.images.log(image.as_deref()?).display().to_string());
        if let Some((image, progress)) = self.builds.of(row.id) {
            let image = Some(image);
            return Some(WorkspaceBuild {
                state: BuildState::Building,
                log: log(&image),
                image,
                progress: Some(progress),
                error: None,
                failed_at: None,
                log_tail: None,
            });
        }
        let failed = row.spec.failed_build.clone()?;
        Some(WorkspaceBuild {
            state: BuildState::Failed,
            log: log(&failed.image).filter(|log| Path::new(log).exists()),
            image: failed.image,
            progress: None,
            error: Some(failed.error),
            failed_at: Some(failed.failed_at),
            log_tail: None,
        })
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
            let told = |text: String| progress(BuildProgress::of(99, text));
            self.programs.install(program, &told).await.map_err(|error| error.for_backend(*harness))?;
        }
        Ok(())
    }
}
