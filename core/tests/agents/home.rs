//! A user's home with a login of a CLI, and the user's own doings there.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use futures::StreamExt;
use serde_json::Value;
use tempfile::TempDir;

use super::SOON;

/// Owner of the files: not the daemon's.
pub const OWNER: u32 = 4242;

/// See the module.
pub struct Home {
    root: TempDir,
    file: PathBuf,
}

impl Home {
    /// A home with this login in this file.
    pub fn with(file: &str, login: &Value) -> Self {
        let root = tempfile::Builder::new().prefix("home-").tempdir_in("/tmp").unwrap();
        let file = root.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let home = Self { root, file };
        home.write(login);
        home
    }

    /// Settings of a daemon that shares it with one backend.
    pub fn settings(&self, backend: &'static str) -> [(&'static str, String); 2] {
        let home = self.root.path().display().to_string();
        [("SANDBOXED_SH_SHARE_LOGINS", backend.to_owned()), ("SANDBOXED_SH_LOGIN_HOME", home)]
    }

    /// The user's own CLI writes a login.
    pub fn write(&self, login: &Value) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, login.to_string()).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&new, Some(OWNER), Some(OWNER)).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    /// The login as it is.
    pub fn read(&self) -> Value {
        serde_json::from_slice(&std::fs::read(&self.file).unwrap()).unwrap()
    }

    /// Mode, owner and group of the file.
    pub fn rights(&self) -> (u32, u32, u32) {
        let seen = std::fs::metadata(&self.file).unwrap();
        (seen.mode() & 0o7777, seen.uid(), seen.gid())
    }

    /// Waits until the user's file holds a text.
    pub async fn until(&self, text: &str) {
        until_holds(&self.file, text).await;
    }
}

/// Waits until a file holds a text, told by the kernel; its directory is there.
pub async fn until_holds(file: &Path, text: &str) {
    let wait = async {
        let inotify = inotify::Inotify::init().unwrap();
        let made = inotify::WatchMask::CLOSE_WRITE | inotify::WatchMask::MOVED_TO;
        inotify.watches().add(file.parent().unwrap(), made).unwrap();
        let mut changes = std::pin::pin!(inotify.into_event_stream(vec![0; 4096]).unwrap());
        while !std::fs::read_to_string(file).is_ok_and(|content| content.contains(text)) {
            changes.next().await.expect("the watch goes on").unwrap();
        }
    };
    let waited = tokio::time::timeout(SOON, wait).await;
    assert!(waited.is_ok(), "{} never holds {text:?}", file.display());
}
