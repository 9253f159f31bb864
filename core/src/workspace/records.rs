//! Creating, showing and removing workspaces.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use sandboxed_domain::api::{ApiError, ErrorCode, SandboxState, WorkspaceKind, WorkspaceView};
use sandboxed_domain::sandbox::next_uid_base;
use uuid::Uuid;

use super::disk::Figures;
use super::fork::Freezer;
use super::images::{Builds, template_name};
use super::paths::{WorkspacePaths, short};
use super::running::{Live, Places};
use super::shared::{Quotas, Shared};
use crate::harness::Programs;
use crate::library::{LibraryFolder, LibrarySettings};
use crate::sandbox::CgroupTree;
use crate::sandbox::image::ImageStore;
use crate::store::{self, Store, StoreError, WorkspaceRow, WorkspaceSpec, io_error, make_private};

/// How long runs may take to end when a workspace is stopped.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// All workspaces. Cheap to clone.
#[derive(Clone)]
pub struct Workspaces {
    pub(super) data: PathBuf,
    pub(super) store: Store,
    pub(super) tree: Option<Arc<CgroupTree>>,
    pub(super) instance: String,
    pub(super) places: Arc<Places>,
    pub(super) programs: Programs,
    pub(super) images: Arc<ImageStore>,
    pub(super) builds: Arc<Builds>,
    pub(super) freezer: Arc<Freezer>,
    pub(super) library: LibraryFolder,
    pub(super) shared: Arc<Shared>,
    pub(super) figures: Arc<Figures>,
    pub(super) mounting: Arc<tokio::sync::Mutex<()>>,
}

impl Workspaces {
    /// Opens the workspaces of a data directory; `instance` keeps apart the machines of several daemons.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn open(data: PathBuf, instance: &str, store: Store) -> Result<Self, ApiError> {
        let tree = match CgroupTree::detect(instance) {
            Ok(tree) => Some(Arc::new(tree)),
            Err(error) => {
                tracing::warn!(%error, "no cgroups: sandboxes cannot start and host runs have no limits");
                None
            }
        };
        let images = Arc::new(ImageStore::new(data.join("images")));
        let programs = Programs::new(&data);
        let library = LibraryFolder::open(&data, LibrarySettings::from_env(&data)?)?;
        let instance = instance.to_owned();
        let shared = Arc::new(Shared::new(Quotas::from_env()?));
        let (places, freezer, builds) = (Arc::default(), Arc::default(), Arc::default());
        let (figures, mounting) = (Arc::default(), Arc::default());
        #[rustfmt::skip]
        let workspaces = Self {
            library, data, store, tree, instance, places, programs, images, builds, freezer, shared, figures,
            mounting,
        };
        let global = workspaces.global();
        make_private(&global)?;
        workspaces.ensure_host().await?;
        workspaces.mount_disks().await?;
        let images = Arc::clone(&workspaces.images);
        // Takes as long as files take to be removed, and nothing waits for it: a build of the same image waits for its
        // lock. It may end with the daemon; the next one goes on.
        tokio::spawn(async move { images.clear_interrupted().await });
        workspaces.remove_unnamed_layers().await;
        Ok(workspaces)
    }

    async fn ensure_host(&self) -> Result<(), ApiError> {
        let row = WorkspaceRow {
            id: Uuid::nil(),
            name: "host".to_owned(),
            kind: WorkspaceKind::Host,
            spec: WorkspaceSpec::default(),
            uid_base: None,
            boss: None,
            error: None,
            created_at: Utc::now(),
        };
        Ok(self
            .store
            .write(move |tx| match store::find_workspace(tx, &row.id.to_string())? {
                Some(_) => Ok(()),
                None => store::save_workspace(tx, &row),
            })
            .await?)
    }

    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The directories of a workspace.
    pub fn paths(&self, id: Uuid) -> WorkspacePaths {
        WorkspacePaths::new(&self.data, id)
    }

    /// Makes a container workspace: its record and its user id range. Its sandbox starts at its first use.
    ///
    /// # Errors
    /// A bind that would give away more than a repository; a taken name; the store.
    pub async fn create(
        &self,
        label: &str,
        spec: WorkspaceSpec,
        boss: Option<String>,
    ) -> Result<WorkspaceRow, ApiError> {
        for bind in &spec.binds {
            self.check_bind(Path::new(bind))?;
        }
        let exact = boss.is_none();
        let label = slug(label);
        let row = self
            .store
            .write(move |tx| {
                if let Some(found) =
                    boss.as_deref().map(|boss| store::workspace_of_boss(tx, boss)).transpose()?.flatten()
                {
                    return Ok(found);
                }
                let id = Uuid::now_v7();
                let name = if exact { label } else { format!("{label}-{}", short(id)) };
                if store::find_workspace(tx, &name)?.is_some() {
                    return Err(ApiError::new(ErrorCode::Conflict, format!("a workspace {name:?} exists"))
                        .field("name")
                        .hint("choose another name, or use that one")
                        .into());
                }
                let uid_base = next_uid_base(store::uid_bases(tx)?).ok_or_else(|| {
                    ApiError::new(ErrorCode::Conflict, "all user id ranges are in use")
                        .hint("destroy workspaces that are not needed any more")
                })?;
                let row = WorkspaceRow {
                    id,
                    name,
                    kind: WorkspaceKind::Container,
                    spec,
                    uid_base: Some(uid_base),
                    boss,
                    error: None,
                    created_at: Utc::now(),
                };
                store::save_workspace(tx, &row)?;
                Ok(row)
            })
            .await?;
        if let Err(error) = self.mount_disk(&row).await {
            self.destroy(&row).await?;
            return Err(error);
        }
        self.make_directories(row.id)?;
        Ok(row)
    }

    /// The directories that callers may name before the sandbox has started.
    pub(super) fn make_directories(&self, id: Uuid) -> Result<(), ApiError> {
        let paths = self.paths(id);
        for directory in [&paths.missions, &paths.worktrees, &paths.inbox] {
            std::fs::create_dir_all(directory).map_err(|error| io_error(directory, &error))?;
        }
        Ok(())
    }

    /// A bind must be a directory of its own, not one that holds the system or this daemon's secrets.
    fn check_bind(&self, bind: &Path) -> Result<(), ApiError> {
        let refuse = |text: String| {
            Err(ApiError::new(ErrorCode::PathOutsideWorkspace, text)
                .field("binds")
                .hint("bind the repository's own directory"))
        };
        let Ok(real) = std::fs::canonicalize(bind) else {
            return Err(ApiError::invalid("binds", format!("{} does not exist", bind.display()))
                .hint("name directories that exist on this machine, by their absolute paths"));
        };
        let data = std::fs::canonicalize(&self.data).unwrap_or_else(|_| self.data.clone());
        let system = [
            "/", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/proc", "/sys", "/dev", "/run",
            "/var", "/home", "/root",
        ];
        if system.iter().any(|path| real == Path::new(path)) {
            return refuse(format!("{} belongs to the system", real.display()));
        }
        if data.starts_with(&real) || real.starts_with(&data) {
            return refuse(format!(
                "{} and the data directory {} contain each other",
                real.display(),
                data.display()
            ));
        }
        if !real.is_dir() {
            return refuse(format!("{} is not a directory", real.display()));
        }
        Ok(())
    }

    /// A workspace as the API shows it.
    pub async fn view(&self, row: &WorkspaceRow) -> WorkspaceView {
        let live = self.seen(row.id).await;
        let build = self.build_of(row);
        let failed = build.as_ref().and_then(|build| build.error.clone());
        let error = row.error.clone().or(failed);
        let state = match (&live, &error) {
            (Some(live), _) if live.busy().await => SandboxState::Busy,
            (Some(_), _) => SandboxState::Ready,
            (None, Some(_)) => SandboxState::Error,
            (None, None) => SandboxState::Stopped,
        };
        WorkspaceView {
            id: row.id,
            name: row.name.clone(),
            kind: row.kind,
            state,
            detail: error.filter(|_| live.is_none()),
            root: self.paths(row.id).root.display().to_string(),
            image: row.spec.image.clone().filter(|_| row.kind == WorkspaceKind::Container),
            template: (row.kind == WorkspaceKind::Container).then(|| template_name(row).to_owned()),
            binds: row.spec.binds.clone(),
            network: row.spec.network,
            allow_hosts: row.spec.allow_hosts.clone(),
            forked_from: row.spec.forked_from,
            usage: live.as_deref().and_then(Live::usage),
            shared: self.shared_folders(row.id, row.kind),
            inbox: self.paths(row.id).inbox.display().to_string(),
            inbox_use: self.inbox_use(row.id).await,
            disk_bytes: self.disk_lately(row).await,
            build,
            warnings: Vec::new(),
            limits: row.spec.limits,
            created_at: row.created_at,
        }
    }

    /// The Library.
    pub fn library(&self) -> &LibraryFolder {
        &self.library
    }

    /// The agents' programs of this host.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Ends the workspace's sandbox with everything in it; its files stay.
    ///
    /// # Errors
    /// Something in it would not end.
    pub async fn stop(&self, id: Uuid) -> Result<(), ApiError> {
        let Some(live) = self.running(id).await else { return Ok(()) };
        live.stop(STOP_GRACE).await?;
        self.places.remove(id);
        Ok(())
    }

    /// Removes a container workspace with its layer, missions' directories and logs. The caller has made sure that no
    /// work is lost.
    ///
    /// # Errors
    /// It runs on, or its files cannot be removed.
    pub async fn destroy(&self, row: &WorkspaceRow) -> Result<(), ApiError> {
        self.stop(row.id).await?;
        self.remove_disk(row).await?;
        let paths = self.paths(row.id);
        for directory in [paths.root, paths.runs] {
            match tokio::fs::remove_dir_all(&directory).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error(&directory, &error));
                }
                _ => {}
            }
        }
        let id = row.id;
        self.store.write(move |tx| store::delete_workspace(tx, id)).await?;
        self.freezer.forget(id);
        self.remove_unnamed_layers().await;
        Ok(())
    }

    /// Removes the daemon's own folder among the cgroups when no sandbox is left in it.
    pub fn leave_cgroups(&self) {
        let Some(tree) = self.tree.as_deref() else { return };
        if let Err(error) = tree.remove_if_empty() {
            tracing::warn!(%error, "the cgroup folder cannot be removed");
        }
    }

    /// Notes why a workspace's sandbox does not start, or that it does.
    pub(super) async fn note_error(&self, id: Uuid, error: Option<String>) -> Result<(), StoreError> {
        self.store
            .write(move |tx| {
                let Some(mut row) = store::find_workspace(tx, &id.to_string())? else { return Ok(()) };
                if row.error == error {
                    return Ok(());
                }
                row.error = error;
                store::save_workspace(tx, &row)
            })
            .await
    }

    /// The live sandbox of a workspace, adopted if an earlier daemon started it; none when there is none.
    pub async fn running(&self, id: Uuid) -> Option<Arc<Live>> {
        self.places.running(self, id).await
    }
}

/// Lower-case letters, digits and dashes, at most 24 characters.
fn slug(label: &str) -> String {
    let mut slug: String = label
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(24)
        .collect();
    while slug.contains("--") {
        slug = slug.replace("--", "-");
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "workspace".to_owned() } else { slug.to_owned() }
}
