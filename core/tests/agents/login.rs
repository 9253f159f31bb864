//! The login of a CLI's user, as tests make it up.

use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{STUB, Stage};

/// See the module.
pub struct UserLogin {
    /// The file in the user's home.
    pub file: &'static str,
    /// What it holds, with this in every token.
    pub content: fn(&str) -> Value,
    /// Variables of a worker with which the CLI takes it to the stub and not to its provider.
    pub environment: &'static [(&'static str, &'static str)],
    /// A script that its Node loads first, where a variable is not enough. It has no secret in it.
    pub preload: Option<&'static str>,
}

impl UserLogin {
    /// The variables.
    pub fn environment(&self, stage: &Stage) -> Value {
        let base = stage.stub.base_url();
        let mut all: Map<String, Value> = self
            .environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value.replace(STUB, &base))))
            .collect();
        if let Some(script) = self.preload {
            // In the repository, which has the same path in the sandbox.
            let path = stage.daemon.repo().join("preload.cjs");
            std::fs::write(&path, script).unwrap();
            all.insert("NODE_OPTIONS".to_owned(), json!(format!("--require={}", path.display())));
        }
        Value::Object(all)
    }
}

/// When a login of these tests ends.
pub(super) fn tomorrow() -> chrono::DateTime<Utc> {
    Utc::now() + TimeDelta::days(1)
}
