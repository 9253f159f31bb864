//! Short forms of what the tests do with a Library, its remote and its missions.

use std::path::{Path, PathBuf};

use sandboxed_client::Client;
use sandboxed_domain::api::{
    ApiError, Event, EventBody, LibraryCommitParams, LibraryFile, LibraryWriteParams,
};

use crate::support::{Daemon, git};

/// Writes a file by the API.
pub async fn write(client: &Client, path: &str, content: &str) -> LibraryFile {
    try_write(client, path, content).await.unwrap()
}

pub async fn try_write(client: &Client, path: &str, content: &str) -> Result<LibraryFile, ApiError> {
    let params = LibraryWriteParams { path: path.to_owned(), content: content.to_owned(), executable: None };
    client.write_library_file(&params).await
}

/// Commits everything by the API; the commit's id.
pub async fn commit(client: &Client, message: &str) -> String {
    let params = LibraryCommitParams { message: message.to_owned(), paths: Vec::new() };
    client.commit_library(&params).await.unwrap().id
}

/// The daemon's Library.
pub fn folder(daemon: &Daemon) -> PathBuf {
    daemon.data().join("library")
}

/// A bare repository, and a clone in which somebody else works.
pub struct Remote {
    root: tempfile::TempDir,
}

impl Remote {
    /// With a first commit that has these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let remote = Self::empty();
        remote.change(files, "First");
        remote
    }

    /// Without a commit.
    pub fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        git(root.path(), &["init", "-q", "--bare", "lib.git"]);
        git(root.path(), &["clone", "-q", "lib.git", "theirs"]);
        git(&root.path().join("theirs"), &["checkout", "-q", "-B", "main"]);
        Self { root }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("lib.git")
    }

    /// Somebody else's checkout.
    pub fn theirs(&self) -> PathBuf {
        self.root.path().join("theirs")
    }

    /// Somebody else commits and pushes; the commit.
    pub fn change(&self, files: &[(&str, &str)], message: &str) -> String {
        let theirs = self.theirs();
        for (path, text) in files {
            let path = theirs.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(&theirs, &["add", "-A"]);
        git(&theirs, &["commit", "-qm", message]);
        git(&theirs, &["push", "-q", "origin", "main"]);
        git(&theirs, &["rev-parse", "HEAD"])
    }

    /// What it has at the tip of its branch.
    pub fn show(&self, path: &str) -> String {
        git(&self.path(), &["show", &format!("main:{path}")])
    }
}

/// Messages of error events with this code.
pub fn errors(events: &[Event], wanted: &str) -> Vec<String> {
    let message = |event: &Event| match &event.body {
        EventBody::Error { code, message } if code == wanted => Some(message.clone()),
        _ => None,
    };
    events.iter().filter_map(message).collect()
}
