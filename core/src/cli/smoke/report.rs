//! What was found, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use sandboxed_domain::api::ApiError;
use sandboxed_domain::smoke::{Finding, Observed, Verdict};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::args::SmokeArgs;
use crate::cli::out;

/// Characters of a detail.
const SHOWN: usize = 100;

/// The whole of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    backend: String,
    model: Option<String>,
    mission_id: Uuid,
    passed: bool,
    timed_out: bool,
    seconds: f64,
    expectations: Vec<Finding>,
    /// Events by type.
    events: BTreeMap<&'static str, u64>,
}

impl Report {
    /// From what was seen.
    pub(super) fn new(
        args: &SmokeArgs,
        mission_id: Uuid,
        observed: &Observed,
        took: Duration,
        in_time: bool,
    ) -> Self {
        let expectations = observed.findings(&args.without);
        Self {
            backend: args.backend.clone(),
            model: args.model.clone(),
            mission_id,
            passed: expectations.iter().all(|finding| finding.verdict != Verdict::Fail),
            timed_out: !in_time,
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            expectations,
            events: observed.counts().clone(),
        }
    }

    /// Whether every expectation was met.
    pub(super) fn passed(&self) -> bool {
        self.passed
    }

    /// Writes it to stdout.
    ///
    /// # Errors
    /// Stdout is closed.
    pub(super) fn show(&self, json: bool) -> Result<(), ApiError> {
        if json {
            return out::json(self);
        }
        let row = |finding: &Finding| {
            let detail = out::one_line(&finding.detail, SHOWN);
            vec![finding.verdict.as_str().to_owned(), finding.expectation.as_str().to_owned(), detail]
        };
        out::raw(&out::table(&self.expectations.iter().map(row).collect::<Vec<_>>()))?;
        let missed = self.expectations.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
        let verdict = match (self.passed, self.timed_out) {
            (true, _) => "as expected".to_owned(),
            (false, false) => format!("{missed} not as expected"),
            (false, true) => format!("time was over, {missed} not as expected"),
        };
        out::line(&format!("{}: {verdict}, {} s", self.backend, self.seconds))
    }
}
