//! The stage with Claude Code on it.

use std::ops::{Deref, DerefMut};

use sandboxed_testkit::stub::{Script, Step, StubModel};
use serde_json::Value;

use crate::agents::{self, CLAUDECODE};
pub use crate::agents::{BOSS, end_of, ended, report, word_of};
use crate::support::Daemon;

/// See [`agents::Stage`].
pub struct Stage(agents::Stage);

impl Stage {
    pub async fn new(script: Script) -> Self {
        Self(agents::Stage::new(&[&CLAUDECODE], script).await)
    }

    /// A stage whose daemon has more in its environment, or something else.
    pub async fn with_settings(script: Script, more: &[(&str, &str)]) -> Self {
        Self(agents::Stage::with_settings(&[&CLAUDECODE], script, more).await)
    }

    /// A stage whose only scenario is `s`.
    pub async fn with(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(agents::Stage::with(&CLAUDECODE, steps).await)
    }

    /// A stage of parts that a test made itself.
    pub fn of(stub: StubModel, daemon: Daemon) -> Self {
        Self(agents::Stage::of(&CLAUDECODE, stub, daemon))
    }

    pub async fn finish(self) {
        self.0.finish().await;
    }
}

impl Deref for Stage {
    type Target = agents::Stage;

    fn deref(&self) -> &agents::Stage {
        &self.0
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut agents::Stage {
        &mut self.0
    }
}

/// A worker with a prompt.
pub fn worker(prompt: &str) -> Value {
    CLAUDECODE.worker(prompt)
}

/// A worker with more fields.
pub fn worker_with(prompt: &str, more: Value) -> Value {
    CLAUDECODE.worker_with(prompt, more)
}
