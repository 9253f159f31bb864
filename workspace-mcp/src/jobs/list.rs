//! `list_jobs`.

use sandbox_runner::protocol::Output;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store::{JobDir, Record, now_ms};
use super::view::{Jobs, Status, status_of};
use crate::error::{Problem, Result};
use crate::text::shorten;

const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;
/// Bytes shown of a command.
const SHOWN: usize = 200;
/// Bytes of an answer.
const MAX_BYTES: usize = 24_000;

/// Parameters of `list_jobs`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListJobsParams {
    /// Only those that run; default false.
    pub running: bool,
    /// Most jobs; default 20, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// Jobs to leave out at the beginning, for the next page.
    pub offset: u64,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct JobView {
    /// Its id.
    pub job_id: String,
    /// running, exited, killed (by a signal), failed (never began) or lost (its end was not recorded).
    pub status: Status,
    /// The command, cut when it is long.
    pub command: String,
    /// Its working directory.
    pub cwd: String,
    /// Exit code, when it exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub signal: Option<i32>,
    /// Why it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
    /// How long it has run or ran.
    pub seconds: f64,
    /// Bytes of output so far.
    pub output_bytes: u64,
    /// File with the output.
    pub output_path: String,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// Whether it outlives the server that started it.
    pub durable: bool,
}

/// Answer of `list_jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ListJobsResponse {
    /// Newest first.
    pub jobs: Vec<JobView>,
    /// How many there are in all, of those asked for.
    pub total: u64,
    /// Where the next page begins, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub next_offset: Option<u64>,
}

impl Jobs {
    /// Lists jobs, newest first.
    ///
    /// # Errors
    /// `invalid_argument`, `jobs_unavailable`.
    pub async fn list(&self, params: &ListJobsParams) -> Result<ListJobsResponse> {
        let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::invalid("limit", format!("limit is 1 to {MAX_LIMIT}")));
        }
        let known = self.all();
        let live = if known.is_empty() { Default::default() } else { self.live().await? };
        let wanted = |(dir, record): &&(JobDir, Record)| {
            !params.running || (record.exit.is_none() && live.contains(&dir.id))
        };
        let total = known.iter().filter(wanted).count() as u64;
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        for (dir, record) in known.iter().filter(wanted).skip(number(params.offset)).take(number(limit)) {
            let view = self.view(dir, record).await?;
            bytes += serde_json::to_string(&view).map_err(Problem::internal)?.len();
            if bytes > MAX_BYTES && !jobs.is_empty() {
                break;
            }
            jobs.push(view);
        }
        let next = params.offset.saturating_add(jobs.len() as u64);
        Ok(ListJobsResponse { jobs, total, next_offset: Some(next).filter(|next| *next < total) })
    }

    /// One job as lists show it.
    pub(super) async fn view(&self, dir: &JobDir, record: &Record) -> Result<JobView> {
        // It may have ended since the record was read.
        let exit = record.exit.clone().or_else(|| dir.exit());
        let status = match &exit {
            Some(exit) => status_of(exit),
            None => self.status(dir, None).await?,
        };
        let metadata = &record.metadata;
        let until = exit.as_ref().map_or_else(now_ms, |exit| exit.ended_at_ms);
        let command = metadata.argv.last().map_or("", String::as_str);
        let cut = if command.len() > SHOWN { " …" } else { "" };
        Ok(JobView {
            job_id: dir.id.clone(),
            status,
            command: format!("{}{cut}", shorten(command, SHOWN)),
            cwd: metadata.cwd.clone(),
            exit_code: exit.as_ref().and_then(|exit| exit.exit_code),
            signal: exit.as_ref().and_then(|exit| exit.signal),
            reason: exit.and_then(|exit| exit.reason),
            seconds: until.saturating_sub(metadata.started_at_ms) as f64 / 1000.0,
            output_bytes: record.output_bytes,
            output_path: self.output_path(dir),
            terminal: matches!(metadata.options.output, Output::Terminal { .. }),
            durable: !metadata.options.has_lease_fd,
        })
    }
}
