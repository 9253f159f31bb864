//! `run_command`: starts a job and waits for its end as long as the call may take.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use sandbox_runner::protocol::{Output, Request, RunOptions, StartRun};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::output::{self, Span};
use super::store::{JobDir, OUTPUT_FILE, prune};
use super::view::{Jobs, Status, ending, status_of};
use crate::answer::Answer;
use crate::error::{Code, Problem, Result};
use sandboxed_mcp::Progress;

/// Seconds that a call waits when it does not say, and the most: Codex ends calls after 300 s.
const DEFAULT_YIELD: f64 = 30.0;
pub const MAX_YIELD: f64 = 240.0;
/// Jobs that run at once.
const MAX_LIVE: usize = 64;
/// Longest command in bytes.
const MAX_COMMAND: usize = 128 << 10;
/// Bytes of output that a job may write.
const MAX_OUTPUT: u64 = 256 << 20;
/// Size of a terminal when the call does not say, and the largest.
const DEFAULT_SIZE: (u16, u16) = (24, 80);
const MAX_SIZE: (u16, u16) = (200, 400);
/// Grace of a job whose call was taken back.
const CANCEL_GRACE_MS: u64 = 2000;

/// Where a job's input comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// It is empty.
    #[default]
    None,
    /// From send_input.
    Pipe,
    /// From send_input, as typed into a terminal.
    Terminal,
}

/// Parameters of `run_command`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunParams {
    /// Shell command (bash where there is one, else sh).
    pub command: String,
    /// Working directory; default the workspace.
    #[serde(default)]
    pub cwd: String,
    /// Seconds to wait for its end, 0 to 240; default 30. After that it goes on as a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub yield_seconds: Option<f64>,
    /// none (default): empty; pipe: send_input writes to it; terminal: a pseudo-terminal, for programs that ask for one.
    #[serde(default)]
    pub input: Input,
    /// Let it outlive this server and its client; default false.
    #[serde(default)]
    pub durable: bool,
    /// Height of the terminal; default 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16")]
    pub rows: Option<u16>,
    /// Width of the terminal; default 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16")]
    pub cols: Option<u16>,
    /// Most bytes of output to return, beginning and end; default 16000, 200 to 30000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub max_bytes: Option<u64>,
}

impl Jobs {
    /// Runs a command.
    ///
    /// # Errors
    /// `invalid_argument`, `too_many_jobs`, `not_started`, `jobs_unavailable`, and `cancelled` when the call was taken
    /// back: then the job ends too, unless it is durable.
    pub async fn run(&self, params: &RunParams, progress: &Progress<'_>) -> Result<Answer> {
        let wait = seconds("yield_seconds", params.yield_seconds, DEFAULT_YIELD)?;
        let max_bytes = output::max_bytes(params.max_bytes)?;
        let plan = self.plan(params)?;
        let dir = self.start(plan).await?;
        let deadline = Instant::now() + wait;
        let exit = tokio::select! {
            exit = self.wait_for_end(&dir, deadline) => exit?,
            () = progress.keep_alive() => None,
            () = progress.cancelled() => {
                if !params.durable {
                    self.stop(&dir, CANCEL_GRACE_MS, "the call was taken back").await?;
                }
                return Err(Problem::new(Code::Cancelled, format!("job {} was cancelled", dir.id)));
            }
        };
        let answer = self.tell(&dir, max_bytes)?;
        let Some(exit) = exit else {
            let waited = wait.as_secs_f64();
            let note = format!(
                "still running after {waited} s as job {}: read_output waits for more, signal_job ends it",
                dir.id
            );
            return Ok(answer.note(&[note]).fact("status", "running"));
        };
        if status_of(&exit) == Status::Failed {
            let reason = exit.reason.unwrap_or_default();
            dir.remove();
            return Err(Problem::new(Code::NotStarted, reason.trim_start_matches("spawn: ")));
        }
        let status = serde_json::to_value(status_of(&exit)).map_err(Problem::internal)?;
        Ok(answer
            .note(&[ending(&exit)])
            .fact("status", status)
            .fact("exit_code", exit.exit_code.map_or(Value::Null, Value::from))
            .failed(exit.exit_code != Some(0)))
    }

    /// The output so far, cut in the middle.
    fn tell(&self, dir: &JobDir, max_bytes: u64) -> Result<Answer> {
        let taken = output::take(&dir.output(), Span::Ends, max_bytes)?;
        Ok(output::answer(self, dir, &taken))
    }

    fn plan(&self, params: &RunParams) -> Result<StartRun> {
        if params.command.trim().is_empty() {
            return Err(Problem::invalid("command", "the command is empty"));
        }
        if params.command.len() > MAX_COMMAND || params.command.contains('\0') {
            let message = format!("a command has no zero byte and at most {MAX_COMMAND} bytes");
            return Err(Problem::invalid("command", message).hint("write_file a script and run that"));
        }
        let cwd = self.root().relative("cwd", &params.cwd)?;
        let directory =
            self.root().open(&cwd, OFlags::PATH | OFlags::DIRECTORY).and_then(|_| self.root().real(&cwd));
        let cwd = directory.map_err(|errno| Problem::system("enter", &cwd, errno).field("cwd"))?;
        let (rows, cols) = size(params)?;
        let terminal = params.input == Input::Terminal;
        let mut env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        if terminal {
            env.insert("TERM".into(), "xterm-256color".into());
        }
        let cwd = self.root().whole(&cwd);
        Ok(StartRun {
            run_id: String::new(),
            attempt: 1,
            argv: vec![shell().into(), "-c".into(), params.command.clone()],
            env,
            cwd: cwd.to_str().ok_or_else(|| Problem::invalid("cwd", "its path is not UTF-8"))?.to_owned(),
            stdout_name: OUTPUT_FILE.into(),
            stdin_pipe: params.input == Input::Pipe,
            join_fds: 0,
            has_procs_fd: false,
            stop_payload: None,
            options: RunOptions {
                output: if terminal { Output::Terminal { rows, cols } } else { Output::Merged },
                has_lease_fd: !params.durable,
                max_output_bytes: Some(MAX_OUTPUT),
            },
        })
    }

    /// Starts a job, unless too many run. One after the other: those that start at once would not count one another.
    async fn start(&self, plan: StartRun) -> Result<JobDir> {
        self.make_place()?;
        let _starting = self.lock_start().await;
        self.make_room().await?;
        let dir = self.new_dir()?;
        let started = self.ready().await?.0.start(StartRun { run_id: dir.id.clone(), ..plan }).await;
        if let Err(problem) = started {
            dir.remove();
            return Err(problem);
        }
        Ok(dir)
    }

    /// Refuses one job too many, and removes old ones.
    async fn make_room(&self) -> Result<()> {
        let live = self.live().await?;
        if live.len() >= MAX_LIVE {
            return Err(Problem::new(Code::TooManyJobs, format!("{MAX_LIVE} jobs are running")));
        }
        let jobs = self.clone();
        tokio::task::spawn_blocking(move || prune(&jobs.all(), &live)).await.map_err(Problem::internal)
    }

    /// Asks a job to end, and ends it after the grace.
    pub(super) async fn stop(&self, dir: &JobDir, grace_ms: u64, reason: &str) -> Result<()> {
        let request = Request::Stop { run_id: dir.id.clone(), grace_ms, reason: reason.to_owned() };
        self.ready().await?.0.ask(request).await.map(drop)
    }
}

/// Seconds of an argument, within 0 and [`MAX_YIELD`].
///
/// # Errors
/// `invalid_argument`, which names `field`.
pub fn seconds(field: &str, asked: Option<f64>, default: f64) -> Result<Duration> {
    let value = asked.unwrap_or(default);
    if !(0.0..=MAX_YIELD).contains(&value) {
        return Err(Problem::invalid(field, format!("{field} is 0 to {MAX_YIELD} seconds"))
            .hint("wait again with read_output for longer"));
    }
    Ok(Duration::from_secs_f64(value))
}

fn size(params: &RunParams) -> Result<(u16, u16)> {
    let (rows, cols) = (params.rows.unwrap_or(DEFAULT_SIZE.0), params.cols.unwrap_or(DEFAULT_SIZE.1));
    if !(1..=MAX_SIZE.0).contains(&rows) {
        return Err(Problem::invalid("rows", format!("rows is 1 to {}", MAX_SIZE.0)));
    }
    if !(1..=MAX_SIZE.1).contains(&cols) {
        return Err(Problem::invalid("cols", format!("cols is 1 to {}", MAX_SIZE.1)));
    }
    Ok((rows, cols))
}

fn shell() -> &'static str {
    const SHELLS: [&str; 3] = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"];
    SHELLS.into_iter().find(|path| Path::new(path).exists()).unwrap_or("sh")
}
