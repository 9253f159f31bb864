//! Where a secret must not be.

use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{BOSS, Stage};

/// Regular files below a directory that hold the bytes. What goes away meanwhile holds nothing.
pub fn files_with(needle: &[u8], directory: &Path) -> Vec<String> {
    assert!(directory.is_dir(), "{} is no directory", directory.display());
    let (mut found, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() {
                let bytes = std::fs::read(&path).unwrap_or_default();
                if bytes.windows(needle.len()).any(|window| window == needle) {
                    found.push(path.display().to_string());
                }
            }
        }
    }
    found
}

/// Everything that anybody is told of a mission and its backend.
pub async fn answers(stage: &Stage, backend: &str, id: Uuid) -> String {
    let client = stage.daemon.client();
    let mut answers = serde_json::to_string(&stage.daemon.events(id).await).unwrap();
    for view in ["result", "transcript", "log"] {
        let answer: Value =
            stage.daemon.call(BOSS, "get_worker", json!({"worker_id": id, "view": view})).await;
        answers.push_str(&answer.to_string());
    }
    let status: Value = stage.daemon.call(BOSS, "get_backend_auth_status", json!({})).await;
    answers.push_str(&status.to_string());
    answers.push_str(&serde_json::to_string(&client.mission(id).await.unwrap()).unwrap());
    answers.push_str(&serde_json::to_string(&client.backends().await.unwrap()).unwrap());
    answers.push_str(&client.diagnostics(backend).await.unwrap().to_string());
    answers
}
