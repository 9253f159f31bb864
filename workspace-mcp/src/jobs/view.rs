//! The jobs of this workspace: where they are, which there are, and how each is.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sandbox_runner::protocol::{ExitRecord, REASON_OUTPUT, Request, Response, RunState, valid_run_id};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::runner::Runner;
use super::screen::Screens;
use super::store::{self, JobDir, Record};
use super::watch::Watcher;
use crate::error::{Code, Problem, Result};
use crate::files::state_dir;
use crate::root::{Root, STATE_DIR};
use crate::text::count;

/// Directory of jobs in the directory of this program.
const JOBS: &str = "jobs";

/// All jobs of a workspace. Clones share them.
#[derive(Debug, Clone)]
pub struct Jobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: Arc<Root>,
    control: PathBuf,
    /// Whether the directory is in the workspace.
    own_place: bool,
    ready: OnceCell<(Runner, Watcher)>,
    start: tokio::sync::Mutex<()>,
    input: tokio::sync::Mutex<()>,
    screens: Screens,
}

/// How a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has not ended.
    Running,
    /// It ended by itself.
    Exited,
    /// A signal ended it.
    Killed,
    /// It never began.
    Failed,
    /// Nobody was there to see its end.
    Lost,
}

impl Jobs {
    /// Keeps jobs in `state_dir`, by default in the workspace.
    pub fn new(root: Arc<Root>, state_dir: Option<PathBuf>) -> Self {
        let own_place = state_dir.is_none();
        let place = state_dir.unwrap_or_else(|| root.path().join(STATE_DIR));
        let (ready, screens) = (OnceCell::new(), Screens::default());
        let control = place.join(JOBS);
        let (start, input) = <(tokio::sync::Mutex<()>, tokio::sync::Mutex<()>)>::default();
        Self(Arc::new(Inner { root, control, own_place, ready, start, input, screens }))
    }

    /// The workspace.
    pub fn root(&self) -> &Root {
        &self.0.root
    }

    /// What terminals show.
    pub fn screens(&self) -> &Screens {
        &self.0.screens
    }

    /// Held from the count of those that run to the start of one more.
    pub async fn lock_start(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.start.lock().await
    }

    /// Held while input is sent, which is addressed by what was sent before.
    pub async fn lock_input(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.input.lock().await
    }

    /// The directory of jobs, made when it is missing.
    pub fn make_place(&self) -> Result<()> {
        let unavailable = |problem: Problem| Problem::new(Code::JobsUnavailable, problem.message);
        if self.0.own_place {
            return state_dir(self.root(), JOBS).map(drop).map_err(unavailable);
        }
        std::fs::create_dir_all(&self.0.control)
            .map_err(|error| unavailable(Problem::system("make", self.0.control.display(), error)))
    }

    /// A directory for a new job.
    pub fn new_dir(&self) -> Result<JobDir> {
        JobDir::new(&self.0.control)
            .map_err(|error| Problem::new(Code::JobsUnavailable, format!("jobs cannot be kept: {error}")))
    }

    /// The runner, and what tells of its files.
    pub async fn ready(&self) -> Result<&(Runner, Watcher)> {
        let make = || async {
            let watcher = Watcher::new().map_err(|error| {
                let message = format!("inotify: {error}");
                Problem::new(Code::JobsUnavailable, message).hint("raise fs.inotify.max_user_instances")
            })?;
            Ok((Runner::new(self.0.control.clone(), watcher.clone())?, watcher))
        };
        self.0.ready.get_or_try_init(make).await
    }

    /// A job by its id.
    pub fn find(&self, id: &str) -> Result<(JobDir, Record)> {
        let dir = JobDir::of(&self.0.control, id);
        let unknown = || Problem::new(Code::UnknownJob, format!("there is no job {id:?}")).field("job_id");
        if !valid_run_id(id) {
            return Err(unknown());
        }
        let record = dir.record().ok_or_else(unknown)?;
        Ok((dir, record))
    }

    /// All jobs, newest first.
    pub fn all(&self) -> Vec<(JobDir, Record)> {
        store::all(&self.0.control)
    }

    /// Ids of the jobs that the runner has and that have not ended.
    pub async fn live(&self) -> Result<HashSet<String>> {
        match self.ready().await?.0.ask(Request::Hello).await? {
            Some(Response::Hello { runs, .. }) => {
                Ok(runs.into_iter().filter(|run| run.exit.is_none()).map(|run| run.run_id).collect())
            }
            _ => Ok(HashSet::new()),
        }
    }

    /// A job as the runner has it; none when there is no runner or it does not know the job.
    pub async fn state(&self, id: &str) -> Result<Option<RunState>> {
        match self.ready().await?.0.ask(Request::Status { run_id: id.to_owned() }).await? {
            Some(Response::Run(state)) => Ok(Some(state)),
            _ => Ok(None),
        }
    }

    /// How a job is that has this record of its end, or none.
    pub async fn status(&self, dir: &JobDir, exit: Option<&ExitRecord>) -> Result<Status> {
        if let Some(exit) = exit {
            return Ok(status_of(exit));
        }
        let known = self.state(&dir.id).await?;
        // It may have ended between the two looks.
        Ok(match (known, dir.exit()) {
            (_, Some(exit)) => status_of(&exit),
            (Some(_), None) => Status::Running,
            (None, None) => Status::Lost,
        })
    }

    /// Waits until a job has ended or time is over.
    pub async fn wait_for_end(&self, dir: &JobDir, deadline: Instant) -> Result<Option<ExitRecord>> {
        let watcher = &self.ready().await?.1;
        let Ok(mut appears) = watcher.directory(&dir.path) else { return Ok(dir.exit()) };
        loop {
            if let Some(exit) = dir.exit() {
                return Ok(Some(exit));
            }
            if timeout_at(deadline, appears.changed()).await.is_err() {
                return Ok(dir.exit());
            }
        }
    }

    /// Waits until a job has written more than `seen` bytes and then rests for `quiet`, or has ended, or time is over.
    pub async fn wait_for_output(
        &self,
        dir: &JobDir,
        seen: u64,
        quiet: Duration,
        deadline: Instant,
    ) -> Result<()> {
        let watcher = &self.ready().await?.1;
        let (Ok(mut appears), Ok(mut grows)) = (watcher.directory(&dir.path), watcher.file(&dir.output()))
        else {
            return Ok(());
        };
        loop {
            if dir.exit().is_some() {
                return Ok(());
            }
            let length = std::fs::metadata(dir.output()).map_or(0, |meta| meta.len());
            let rest = Instant::now() + quiet;
            let until = if length > seen { rest.min(deadline) } else { deadline };
            tokio::select! {
                () = appears.changed() => {}
                () = grows.changed() => {}
                () = tokio::time::sleep_until(until) => return Ok(()),
            }
        }
    }

    /// The path of a job's output as a client may use it: in the workspace, or whole.
    pub fn output_path(&self, dir: &JobDir) -> String {
        let path = dir.output();
        path.strip_prefix(self.root().path()).unwrap_or(&path).display().to_string()
    }
}

/// How a job ended.
pub fn status_of(exit: &ExitRecord) -> Status {
    match exit {
        exit if exit.reason.as_deref().is_some_and(|reason| reason.starts_with("spawn: ")) => Status::Failed,
        exit if exit.exit_code.is_some() => Status::Exited,
        _ => Status::Killed,
    }
}

/// How a job ended, in words: `exit code 1 after 2.3 s`.
pub fn ending(exit: &ExitRecord) -> String {
    let seconds = exit.ended_at_ms.saturating_sub(exit.started_at_ms) as f64 / 1000.0;
    let how = match (exit.exit_code, exit.signal) {
        (Some(0), _) => "done, exit code 0".to_owned(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {}", signal_name(signal)),
        (None, None) => "never started".to_owned(),
    };
    let why = match exit.reason.as_deref() {
        Some(REASON_OUTPUT) => ": it wrote more than a job may".to_owned(),
        Some(reason) => format!(": {}", reason.strip_prefix("spawn: ").unwrap_or(reason)),
        None => String::new(),
    };
    let left = match exit.leftovers_killed {
        0 => String::new(),
        n => {
            let left = count(u64::from(n), "process", "processes");
            format!("; {left} left behind and ended: what shall go on is a job of its own")
        }
    };
    format!("{how} after {seconds:.1} s{why}{left}")
}

fn signal_name(number: i32) -> String {
    let name = match number {
        libc::SIGHUP => "HUP",
        libc::SIGINT => "INT",
        libc::SIGQUIT => "QUIT",
        libc::SIGABRT => "ABRT",
        libc::SIGFPE => "FPE",
        libc::SIGKILL => "KILL",
        libc::SIGSEGV => "SEGV",
        libc::SIGBUS => "BUS",
        libc::SIGPIPE => "PIPE",
        libc::SIGTERM => "TERM",
        other => return other.to_string(),
    };
    name.to_owned()
}
