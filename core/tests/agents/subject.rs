//! One agent CLI as tests see it: data only.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Deref;

use chrono::Utc;
use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::ErrorReply;
use serde_json::{Value, json};

use super::{Behaviour, UserLogin};

/// Stands in a [`Subject::settings`] value for the model server's URL.
pub const STUB: &str = "{stub}";

/// One agent CLI.
pub struct Subject {
    /// Id of the backend.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Variables of the daemon that name programs.
    pub programs: &'static [(&'static str, Cli)],
    /// Variable of the daemon that holds the key.
    pub key_variable: &'static str,
    /// The key that nobody but the model server may ever see.
    pub key: &'static str,
    /// Further variables of the daemon.
    pub settings: &'static [(&'static str, &'static str)],
    /// Name of its shell tool in events.
    pub shell: &'static str,
    /// Name of our `report_outcome` in events.
    pub report: &'static str,
    /// The model that its missions have when none is named; empty: the CLI decides.
    pub default_model: &'static str,
    /// How a provider tells it when a limit ends.
    pub limit: ToldLimit,
    /// The login of its user.
    pub login: UserLogin,
    /// A model that it takes.
    pub model: &'static str,
    /// A model that it cannot have.
    pub foreign_model: &'static str,
    /// File in a repository in which it looks for instructions.
    pub context_file: &'static str,
    /// Requests that it makes for no good reason, `METHOD path`.
    pub strays: &'static [&'static str],
    /// What it does otherwise than the table says, and why. A test holds each of them.
    pub differences: &'static [(Behaviour, &'static str)],
}

/// See [`Subject::limit`].
pub struct ToldLimit {
    /// Variable and value of the credential that has such limits.
    pub credential: (&'static str, &'static str),
    /// The provider's refusal until a time, in seconds since 1970.
    pub refusal: fn(i64) -> ErrorReply,
}

/// A refusal that tells by a header how many seconds are left.
pub(super) fn retry_after(until: i64) -> ErrorReply {
    let seconds = u64::try_from(until - Utc::now().timestamp()).ok();
    ErrorReply { status: 429, retry_after: seconds, ..ErrorReply::default() }
}

impl Subject {
    /// The daemon's environment with which this agent talks to the model server at `stub`.
    pub fn environment(&self, stub: &str) -> Vec<(String, String)> {
        let programs = self.programs.iter().map(|(variable, cli)| {
            let path = cli.path().unwrap_or_else(|missing| panic!("{missing}"));
            ((*variable).to_owned(), path.display().to_string())
        });
        let settings =
            self.settings.iter().map(|(name, value)| ((*name).to_owned(), value.replace(STUB, stub)));
        let key = (self.key_variable.to_owned(), self.key.to_owned());
        programs.chain(settings).chain([key]).collect()
    }

    /// A worker with a prompt.
    pub fn worker(&self, prompt: &str) -> Value {
        json!({"title": "worker", "backend": self.id, "prompt": prompt})
    }

    /// A worker with more fields.
    pub fn worker_with(&self, prompt: &str, more: Value) -> Value {
        let mut worker = self.worker(prompt);
        worker.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        worker
    }
}

/// A subject under test. Knows which of its differences were looked at, so that none is stated and not held.
pub struct Case {
    subject: &'static Subject,
    asked: RefCell<BTreeSet<Behaviour>>,
}

impl Case {
    pub fn new(subject: &'static Subject) -> Self {
        Self { subject, asked: RefCell::default() }
    }

    /// Whether the subject does something else than the table says: then the test holds that.
    pub fn differs(&self, behaviour: Behaviour) -> bool {
        self.asked.borrow_mut().insert(behaviour);
        self.subject.differences.iter().any(|(other, _)| *other == behaviour)
    }

    /// At the end of a test that holds these behaviours.
    pub fn closed(&self, holds: &[Behaviour]) {
        let asked = self.asked.borrow();
        let stated = self.subject.differences.iter().map(|(behaviour, _)| behaviour);
        for behaviour in stated.filter(|behaviour| holds.contains(behaviour)) {
            assert!(asked.contains(behaviour), "{behaviour:?} is stated as a difference and not looked at");
        }
        for behaviour in asked.iter() {
            assert!(holds.contains(behaviour), "{behaviour:?} is looked at: say so where the test is listed");
        }
    }
}

impl Deref for Case {
    type Target = Subject;

    fn deref(&self) -> &Subject {
        self.subject
    }
}
