//! Where images are, and that only one builder makes each: `<images>/<id>/{rootfs,image.json,build.log}`.
//!
//! A build happens in `<id>.build` and is renamed when it is whole, so an image that is there is complete. The lock is
//! inherited by the build's processes: while any of them lives, even after a killed daemon, nobody builds beside them.
//! Callers of one store who want the same image share one build, which goes on for as long as one of them waits.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::syncfs;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};

use super::build;
use super::progress::BuildProgress;
use super::recipe::ImageRecipe;
use crate::sandbox::error::SandboxError;
use crate::sandbox::handle::blocking;

/// How long a build may take unless said otherwise.
pub const BUILD_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Content of `image.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Name of the image.
    pub id: String,
    /// What it is made of.
    pub recipe: ImageRecipe,
    /// SHA-256 of the recipe.
    pub digest: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was built, RFC 3339.
    pub built_at: String,
    /// How long that took, in seconds.
    pub seconds: u64,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its root file system; never written.
    pub rootfs: PathBuf,
    /// What is known of it.
    pub record: ImageRecord,
}

/// One build, however many wait for it; it ends with the last of them.
type Build = BoxFuture<'static, Result<Image, Arc<SandboxError>>>;

/// A build that somebody waits for, and how far it is.
struct Running {
    build: WeakShared<Build>,
    told: watch::Receiver<BuildProgress>,
}

/// The images of a data directory.
#[derive(Clone)]
pub struct ImageStore {
    root: PathBuf,
    /// Builders of this process wait here, so that at most one thread waits for another process's lock.
    turn: Arc<Mutex<()>>,
    running: Arc<std::sync::Mutex<HashMap<String, Running>>>,
}

impl ImageStore {
    /// Images in `root` (`<data>/images`).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), turn: Arc::default(), running: Arc::default() }
    }

    /// The image with this name, when it is there and whole.
    pub fn find(&self, id: &str) -> Option<Image> {
        let dir = self.root.join(id);
        let record = serde_json::from_slice(&fs::read(dir.join("image.json")).ok()?).ok()?;
        Some(Image { rootfs: dir.join("rootfs"), record })
    }

    /// The image that has this recipe, under its own name or another template's.
    fn made_of(&self, recipe: &ImageRecipe) -> Option<Image> {
        self.find(&recipe.id())
            .or_else(|| self.list().into_iter().find(|image| image.record.recipe.makes_same(recipe)))
    }

    /// Every image.
    pub fn list(&self) -> Vec<Image> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| self.find(entry.file_name().to_str()?)).collect()
    }

    /// The log of the latest build of an image, failed or not.
    pub fn log(&self, id: &str) -> PathBuf {
        let [done, building] = [self.root.join(id), self.build_dir(id)].map(|dir| dir.join("build.log"));
        if building.exists() { building } else { done }
    }

    fn build_dir(&self, id: &str) -> PathBuf {
        self.root.join(format!("{id}.build"))
    }

    /// The image of a recipe, built when it is not there. Of several callers one builds, and all hear of it.
    /// `patience` is that of the build; `progress` is called from the task that polls this.
    ///
    /// # Errors
    /// [`SandboxError::ImageFailed`], [`SandboxError::ImageTimedOut`]; nothing but a log is left then.
    pub async fn ensure(
        &self,
        recipe: &ImageRecipe,
        patience: Duration,
        mut progress: impl FnMut(BuildProgress) + Send,
    ) -> Result<Image, Arc<SandboxError>> {
        let id = recipe.id();
        if let Some(image) = self.made_of(recipe) {
            return Ok(image);
        }
        let (mut build, mut told) = self.join(&id, recipe, patience);
        let ended = loop {
            tokio::select! {
                // What was told last is told before the end.
                biased;
                Ok(()) = told.changed() => {
                    let step = told.borrow_and_update().clone();
                    progress(step);
                }
                ended = &mut build => break ended,
            }
        };
        let last = told.borrow_and_update();
        if last.has_changed() {
            progress(last.clone());
        }
        drop(last);
        ended
    }

    /// The build of this image that is under way, else a new one.
    fn join(
        &self,
        id: &str,
        recipe: &ImageRecipe,
        patience: Duration,
    ) -> (Shared<Build>, watch::Receiver<BuildProgress>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, running| running.build.upgrade().is_some());
        let found = running.get(id).and_then(|r| Some((r.build.upgrade()?, r.told.clone())));
        if let Some((build, told)) = found.filter(|(build, _)| build.peek().is_none()) {
            return (build, told);
        }
        let (tell, told) = watch::channel(BuildProgress::of("waiting for another build", 0));
        let (store, recipe) = (self.clone(), recipe.clone());
        let work = async move { store.build(&recipe, patience, &tell).await.map_err(Arc::new) };
        let build = work.boxed().shared();
        if let Some(weak) = build.downgrade() {
            running.insert(id.to_owned(), Running { build: weak, told: told.clone() });
        }
        (build, told)
    }

    async fn build(
        &self,
        recipe: &ImageRecipe,
        patience: Duration,
        tell: &watch::Sender<BuildProgress>,
    ) -> Result<Image, SandboxError> {
        let id = recipe.id();
        let _turn = self.turn.lock().await;
        let lock_path = self.root.join(format!("{id}.lock"));
        let lock = blocking(move || lock(&lock_path, FlockArg::LockExclusive)).await?;
        if let Some(image) = self.made_of(recipe) {
            return Ok(image);
        }
        let (building, done) = (self.build_dir(&id), self.root.join(&id));
        let told = |step| drop(tell.send_replace(step));
        let seconds = build::build(recipe, &building, &lock, patience, &told).await?;
        let recipe = recipe.clone();
        let record = blocking(move || publish(recipe, &building, &done, seconds)).await?;
        Ok(Image { rootfs: self.root.join(&id).join("rootfs"), record })
    }

    /// Removes what builds left that ended with their daemon; their logs stay. One that is under way is left alone.
    pub async fn clear_interrupted(&self) {
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".build")) else { continue };
            let path = self.root.join(format!("{id}.lock"));
            let held = blocking(move || lock(&path, FlockArg::LockExclusiveNonblock)).await;
            let Ok(_held) = held else { continue };
            let _ = fs::remove_file(entry.path().join(build::SCRIPT));
            if let Err(error) = build::remove_rootfs(&entry.path()).await {
                tracing::warn!(%error, image = id, "what an interrupted build left cannot be removed");
            }
        }
    }
}

fn lock(path: &Path, how: FlockArg) -> Result<Flock<File>, SandboxError> {
    let take = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        Flock::lock(file, how).map_err(|(_, errno)| errno.into())
    };
    take().map_err(SandboxError::io("lock", path))
}

/// Writes the record and gives the image its name.
fn publish(
    recipe: ImageRecipe,
    building: &Path,
    done: &Path,
    seconds: u64,
) -> Result<ImageRecord, SandboxError> {
    let bytes = disk_bytes(&building.join("rootfs")).map_err(SandboxError::io("measure", building))?;
    let record = ImageRecord {
        id: recipe.id(),
        digest: recipe.digest(),
        recipe,
        bytes,
        built_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        seconds,
    };
    let write = || {
        fs::write(building.join("image.json"), serde_json::to_vec_pretty(&record)?)?;
        // Without a record it is no image: something broken that is in the way.
        if done.exists() {
            fs::remove_dir_all(done)?;
        }
        // What has its name is whole, whenever the power goes.
        syncfs(File::open(building)?)?;
        fs::rename(building, done)
    };
    write().map_err(SandboxError::io("publish", done))?;
    Ok(record)
}

/// Bytes that a tree takes on disk, hard links counted once. What vanishes meanwhile is not counted.
///
/// # Errors
/// The file system's.
pub fn disk_bytes(root: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut waiting = vec![root.to_owned()];
    let mut bytes = 0;
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    while let Some(dir) = waiting.pop() {
        let entries = match fs::read_dir(dir) {
            Err(error) if gone(&error) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Err(error) if gone(&error) => continue,
                metadata => metadata?,
            };
            if seen.insert((metadata.dev(), metadata.ino())) {
                bytes += metadata.blocks() * 512;
            }
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(bytes)
}
