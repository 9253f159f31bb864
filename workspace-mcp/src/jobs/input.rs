//! `send_input` and `signal_job`.

use std::time::Duration;

use sandbox_runner::protocol::{Request, Response, RunState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::list::JobView;
use super::output::{QUIET, Span, View, max_bytes};
use super::run::seconds;
use super::store::JobDir;
use super::view::Jobs;
use crate::answer::Answer;
use crate::error::{Code, Problem, Result};
use sandboxed_mcp::Progress;

/// Longest input of one call in bytes.
const MAX_INPUT: usize = 1 << 20;
/// Seconds to wait for what comes of an input.
const DEFAULT_WAIT: f64 = 2.0;
/// Grace of a job that is ended.
const END_GRACE_MS: u64 = 5000;
/// How long its end is waited for beyond the grace.
const END_MARGIN: Duration = Duration::from_secs(5);
/// How long the effect of another signal is waited for.
const SIGNAL_WAIT: Duration = Duration::from_millis(500);

/// Parameters of `send_input`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputParams {
    /// A job with input=pipe or terminal.
    pub job_id: String,
    /// Text to send as it is: end a line with \n; in a terminal \u0003 is Ctrl-C, \u001b Escape, \u001b[A cursor up.
    #[serde(default)]
    pub text: String,
    /// End the input after it; default false.
    #[serde(default)]
    pub close: bool,
    /// Seconds to wait for output to come and pause, 0 to 240; default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub wait_seconds: Option<f64>,
    /// output (default): what was written since; screen: a terminal as it looks then.
    #[serde(default)]
    pub view: View,
}

/// What to send to a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Signal {
    /// TERM, and KILL to all that is left after 5 s.
    #[default]
    #[serde(rename = "end")]
    End,
    #[serde(rename = "INT")]
    Int,
    #[serde(rename = "TERM")]
    Term,
    #[serde(rename = "KILL")]
    Kill,
    #[serde(rename = "HUP")]
    Hup,
    #[serde(rename = "QUIT")]
    Quit,
    #[serde(rename = "USR1")]
    Usr1,
    #[serde(rename = "USR2")]
    Usr2,
    #[serde(rename = "STOP")]
    Stop,
    #[serde(rename = "CONT")]
    Cont,
}

impl Signal {
    fn number(self) -> Option<i32> {
        Some(match self {
            Self::End => return None,
            Self::Int => libc::SIGINT,
            Self::Term => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
            Self::Hup => libc::SIGHUP,
            Self::Quit => libc::SIGQUIT,
            Self::Usr1 => libc::SIGUSR1,
            Self::Usr2 => libc::SIGUSR2,
            Self::Stop => libc::SIGSTOP,
            Self::Cont => libc::SIGCONT,
        })
    }
}

/// Parameters of `signal_job`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalParams {
    /// The job.
    pub job_id: String,
    /// end (default): TERM, then KILL after 5 s; or one signal to the whole process group.
    #[serde(default)]
    pub signal: Signal,
}

impl Jobs {
    /// Sends input and tells what came of it.
    ///
    /// # Errors
    /// `unknown_job`, `job_ended`, `invalid_argument`, `too_large`.
    pub async fn input(&self, params: &InputParams, progress: &Progress<'_>) -> Result<Answer> {
        let wait = seconds("wait_seconds", params.wait_seconds, DEFAULT_WAIT)?;
        if params.text.len() > MAX_INPUT {
            let message = format!("text has {} bytes, more than {MAX_INPUT}", params.text.len());
            return Err(Problem::new(Code::TooLarge, message)
                .field("text")
                .hint("send it in parts, or use a file"));
        }
        if params.text.is_empty() && !params.close {
            return Err(Problem::invalid("text", "there is nothing to send"));
        }
        let (dir, record) = self.find(&params.job_id)?;
        self.check_view(params.view, &record)?;
        let seen = record.output_bytes;
        self.send(&dir, params).await?;
        let deadline = Instant::now() + wait;
        tokio::select! {
            waited = self.wait_for_output(&dir, seen, QUIET, deadline) => waited?,
            () = progress.keep_alive() => {}
            () = progress.cancelled() => return Err(progress.problem()),
        }
        self.show(&dir, params.view, Span::From(seen), max_bytes(None)?).await
    }

    async fn send(&self, dir: &JobDir, params: &InputParams) -> Result<()> {
        let runner = &self.ready().await?.0;
        let _one = self.lock_input().await;
        let run_id = || dir.id.clone();
        let state = live(dir, self.state(&dir.id).await?)?;
        if !params.text.is_empty() {
            let request = Request::WriteStdin {
                run_id: run_id(),
                offset: state.stdin_accepted,
                data: params.text.clone(),
            };
            accepted(dir, runner.ask(request).await?)?;
        }
        if params.close {
            accepted(dir, runner.ask(Request::CloseStdin { run_id: run_id() }).await?)?;
        }
        Ok(())
    }

    /// Signals a job and tells how it is then.
    ///
    /// # Errors
    /// `unknown_job`, `job_ended`.
    pub async fn signal(&self, params: &SignalParams) -> Result<JobView> {
        let (dir, _) = self.find(&params.job_id)?;
        live(&dir, self.state(&dir.id).await?)?;
        let wait = match params.signal.number() {
            None => {
                self.stop(&dir, END_GRACE_MS, "signal_job").await?;
                Duration::from_millis(END_GRACE_MS) + END_MARGIN
            }
            Some(signal) => {
                let request = Request::Signal { run_id: dir.id.clone(), signal, group: true };
                accepted(&dir, self.ready().await?.0.ask(request).await?)?;
                SIGNAL_WAIT
            }
        };
        let waits = !matches!(params.signal, Signal::Stop | Signal::Cont);
        if waits {
            self.wait_for_end(&dir, Instant::now() + wait).await?;
        }
        let (dir, record) = self.find(&params.job_id)?;
        self.view(&dir, &record).await
    }
}

/// The state of a job that has not ended.
fn live(dir: &JobDir, state: Option<RunState>) -> Result<RunState> {
    state.filter(|state| state.exit.is_none() && dir.exit().is_none()).ok_or_else(|| ended(dir))
}

fn ended(dir: &JobDir) -> Problem {
    Problem::new(Code::JobEnded, format!("job {} has ended", dir.id)).field("job_id")
}

fn accepted(dir: &JobDir, response: Option<Response>) -> Result<()> {
    match response {
        Some(Response::Run(state)) if state.exit.is_none() => Ok(()),
        Some(Response::Failed { code, .. }) if code == "stdin_closed" => {
            let message = format!("job {} takes no input", dir.id);
            Err(Problem::invalid("job_id", message).hint("start it with input=pipe or input=terminal"))
        }
        Some(Response::Failed { code, message }) if code == "stdin_full" => {
            Err(Problem::new(Code::TooLarge, message)
                .field("text")
                .hint("the job does not read: wait, or end it"))
        }
        Some(Response::Failed { message, .. }) => Err(Problem::internal(message)),
        _ => Err(ended(dir)),
    }
}
