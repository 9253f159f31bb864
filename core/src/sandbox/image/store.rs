//! Where images are, and that only one builder makes each: `<images>/<id>/{rootfs,image.json,build.log}`.
//!
//! A build happens in `<id>.build` and is renamed when it is whole, so an image that is there is complete. The lock is
//! inherited by the build's processes: while any of them lives, even after a killed daemon, nobody builds beside them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

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

/// The images of a data directory.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: PathBuf,
    /// Builders of this process wait here, so that at most one thread waits for another process's lock.
    building: Arc<Mutex<()>>,
}

impl ImageStore {
    /// Images in `root` (`<data>/images`).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), building: Arc::default() }
    }

    /// The image with this name, when it is there and whole.
    pub fn find(&self, id: &str) -> Option<Image> {
        let dir = self.root.join(id);
        let record = serde_json::from_slice(&fs::read(dir.join("image.json")).ok()?).ok()?;
        Some(Image { rootfs: dir.join("rootfs"), record })
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

    /// The image of a recipe, built when it is not there. Of several callers one builds and the others wait for it.
    /// `patience` is that of the build; `progress` is called from the task that polls this.
    ///
    /// # Errors
    /// [`SandboxError::ImageFailed`], [`SandboxError::ImageTimedOut`]; nothing but a log is left then.
    pub async fn ensure(
        &self,
        recipe: &ImageRecipe,
        patience: Duration,
        progress: impl FnMut(BuildProgress) + Send,
    ) -> Result<Image, SandboxError> {
        let id = recipe.id();
        if let Some(image) = self.find(&id) {
            return Ok(image);
        }
        let _turn = self.building.lock().await;
        let lock_path = self.root.join(format!("{id}.lock"));
        let lock = blocking(move || lock(&lock_path)).await?;
        if let Some(image) = self.find(&id) {
            return Ok(image);
        }
        let (building, done) = (self.build_dir(&id), self.root.join(&id));
        let seconds = build::build(recipe, &building, &lock, patience, progress).await?;
        let recipe = recipe.clone();
        let record = blocking(move || publish(recipe, &building, &done, seconds)).await?;
        Ok(Image { rootfs: self.root.join(&id).join("rootfs"), record })
    }
}

fn lock(path: &Path) -> Result<Flock<File>, SandboxError> {
    let take = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
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
