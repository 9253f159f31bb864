//! Workspaces: made, shown, started, stopped, and commands run in them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_runner::protocol::{EXIT_FILE, ExitRecord, STDERR_FILE};
use sandboxed_domain::api::{
    ApiError, BuildProgress, BuildState, CreateWorkspaceParams, ErrorCode, ExecParams, ExecResponse,
    WorkspaceKind, WorkspaceView,
};
use sandboxed_domain::policy::{self, cut_middle};
use sandboxed_domain::sandbox::DEFAULT_TEMPLATE;
use uuid::Uuid;

use super::App;
use crate::harness::DEFAULT_PATH;
use crate::sandbox::RunRequest;
use crate::store::blocking;
use crate::store::{self, WorkspaceRow, WorkspaceSpec, io_error};
use crate::workspace::{Live, log_tail, network_env, run_limits};

/// Seconds of an exec when nobody says, and at most.
const EXEC_SECONDS: (u64, u64) = (60, 3600);
/// Most bytes of each output of an exec in the answer.
const EXEC_OUTPUT: usize = 64 << 10;
/// How long an exec that is out of time may take to end.
const EXEC_GRACE: Duration = Duration::from_secs(2);

impl App {
    /// All workspaces.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn list_workspaces(&self) -> Result<Vec<WorkspaceView>, ApiError> {
        let rows = self.store.read(store::list_workspaces).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in &rows {
            views.push(self.workspaces.view(row).await);
        }
        Ok(views)
    }

    /// Makes one.
    ///
    /// # Errors
    /// A name or bind that cannot be used.
    pub async fn create_workspace(&self, params: CreateWorkspaceParams) -> Result<WorkspaceView, ApiError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = &params.name;
        if name.is_empty() || name.len() > 24 || !name.chars().all(plain) || name == "host" {
            return Err(ApiError::invalid("name", format!("{name:?} is not a name"))
                .hint("1 to 24 lower-case letters, digits and dashes; `host` is taken"));
        }
        let spec = self.workspace_spec(&params)?;
        let row = self.workspaces.create(&params.name, spec, None).await?;
        Ok(self.workspaces.view(&row).await)
    }

    /// What is asked for, and what the template says where nothing is.
    pub(super) fn workspace_spec(&self, params: &CreateWorkspaceParams) -> Result<WorkspaceSpec, ApiError> {
        let template = self.workspaces.template(params.template.as_deref().unwrap_or(DEFAULT_TEMPLATE))?;
        let (network, allow_hosts) = match params.network {
            Some(network) => (network, params.allow_hosts.clone()),
            None if params.allow_hosts.is_empty() => {
                (template.network.unwrap_or_default(), template.allow_hosts)
            }
            None => (template.network.unwrap_or_default(), params.allow_hosts.clone()),
        };
        policy::check_network(network, &allow_hosts)?;
        let limits = params.limits.or(template.limits);
        self.workspaces.check_disk(&limits)?;
        Ok(WorkspaceSpec {
            binds: params.binds.clone(),
            template: params.template.clone(),
            image: None,
            env: template.env,
            network,
            allow_hosts,
            limits,
            lowers: Vec::new(),
            frozen: None,
            forked_from: None,
            stands: None,
            failed_build: None,
        })
    }

    /// One workspace.
    ///
    /// # Errors
    /// `unknown_workspace`.
    pub async fn show_workspace(&self, id: &str) -> Result<WorkspaceView, ApiError> {
        let row = self.workspace(id).await?;
        // Counted now, for the view to find.
        self.workspaces.disk_now(&row).await;
        let mut view = self.workspaces.view(&row).await;
        view.warnings = self.workspaces.warnings(&row);
        if let Some(build) = view.build.as_mut().filter(|build| build.state == BuildState::Failed)
            && let Some(log) = build.log.clone()
        {
            build.log_tail = blocking(move || log_tail(Path::new(&log))).await?;
        }
        Ok(view)
    }

    /// Starts its sandbox; builds the image first where it is missing.
    ///
    /// # Errors
    /// Typed, never a weaker sandbox.
    pub async fn start_workspace(&self, id: &str) -> Result<WorkspaceView, ApiError> {
        let row = self.workspace(id).await?;
        self.running(&row).await?;
        self.show_workspace(id).await
    }

    /// The sandbox of a workspace for what is not written down as missions' runs are.
    pub(super) async fn running(&self, row: &WorkspaceRow) -> Result<Arc<Live>, ApiError> {
        let live = self.workspaces.ensure_running(row, &|_| ()).await?;
        if row.spec.stands == Some(false) {
            // What the fork stands on is on the disk before something runs in it; else a power cut would take that.
            self.store.settle().await?;
        }
        Ok(live)
    }

    /// Builds its image, without starting it; `progress` hears each step.
    ///
    /// # Errors
    /// The build's.
    pub async fn build_workspace(
        &self,
        id: &str,
        progress: &(dyn Fn(BuildProgress) + Send + Sync),
    ) -> Result<WorkspaceView, ApiError> {
        let row = self.workspace(id).await?;
        if row.kind == WorkspaceKind::Container {
            self.workspaces.build(&row, progress).await?;
        }
        self.show_workspace(id).await
    }

    /// Ends its sandbox. Missions at work in it are a reason not to.
    ///
    /// # Errors
    /// Missions are at work, or something would not end.
    pub async fn stop_workspace(&self, id: &str) -> Result<WorkspaceView, ApiError> {
        let row = self.workspace(id).await?;
        self.require_quiet(&row).await?;
        self.workspaces.stop(row.id).await?;
        self.show_workspace(id).await
    }

    pub(super) async fn require_quiet(&self, row: &WorkspaceRow) -> Result<(), ApiError> {
        let id = row.id;
        let open = self.store.read(move |c| store::open_missions(c, id)).await?;
        if open == 0 {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::WrongState, format!("{open} missions of {} have not ended", row.name))
            .field("id")
            .hint("cancel them or wait for them"))
    }

    /// Runs a command in a workspace and waits for it.
    ///
    /// # Errors
    /// No command, a bad time-out, the sandbox's errors.
    pub async fn exec(&self, id: &str, params: ExecParams) -> Result<ExecResponse, ApiError> {
        if params.argv.first().is_none_or(String::is_empty) {
            return Err(ApiError::invalid("argv", "no command").hint("name a program and its arguments"));
        }
        if let Some(at) = params.argv.iter().position(|argument| argument.contains('\0')) {
            return Err(
                ApiError::invalid(format!("argv[{at}]"), "contains a NUL").hint("leave the zero byte out")
            );
        }
        if let Some(directory) = &params.cwd {
            policy::absolute_path("cwd", directory)?;
        }
        let seconds = params.timeout_seconds.unwrap_or(EXEC_SECONDS.0);
        if !(1..=EXEC_SECONDS.1).contains(&seconds) {
            return Err(
                ApiError::invalid("timeout_seconds", format!("{seconds} is out of bounds")).hint("1 to 3600")
            );
        }
        let row = self.workspace(id).await?;
        let live = self.running(&row).await?;
        let request = exec_request(&row, self.workspaces.shared_env(&row), params);
        let directory = self.workspaces.paths(row.id).run(&request.run_id);
        let begin = Instant::now();
        let end = self.finish_exec(&live, request, &directory, Duration::from_secs(seconds)).await;
        let milliseconds = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let answer = end.map(|end| end.answer(&directory, milliseconds));
        // The output is in the answer.
        let _ = tokio::fs::remove_dir_all(&directory).await;
        answer
    }

    async fn finish_exec(
        &self,
        live: &Live,
        request: RunRequest,
        directory: &Path,
        longest: Duration,
    ) -> Result<ExecEnd, ApiError> {
        let run_id = request.run_id.clone();
        live.runner().start_run(request).await?;
        let watch = self.missions.watch(directory).map_err(|error| io_error(directory, &error))?;
        let deadline = tokio::time::Instant::now() + longest;
        let mut late = false;
        let exit = loop {
            let path = directory.join(EXIT_FILE);
            let record = blocking(move || std::fs::read(path)).await?;
            if let Ok(bytes) = record {
                break serde_json::from_slice::<ExitRecord>(&bytes)
                    .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
            }
            tokio::select! {
                () = watch.changed() => {}
                () = live.died() => {
                    return Err(ApiError::new(ErrorCode::RunnerLost, "the sandbox ended").hint("try again"));
                }
                () = tokio::time::sleep_until(deadline), if !late => {
                    late = true;
                    live.runner().stop_run(&run_id, EXEC_GRACE, "timed_out").await?;
                }
            }
        };
        let figures = live.runner().close_run(&run_id).await?;
        Ok(ExecEnd { exit, oom: figures.oom_kills > 0 })
    }
}

pub(super) fn exec_request(
    row: &WorkspaceRow,
    shared: [(String, String); 2],
    params: ExecParams,
) -> RunRequest {
    let env = [("PATH", DEFAULT_PATH), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("TERM", "dumb")];
    RunRequest {
        run_id: Uuid::now_v7().to_string(),
        attempt: 1,
        argv: params.argv,
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .chain(row.spec.env.clone())
            .chain(network_env(row))
            .chain(shared)
            .collect(),
        cwd: params.cwd.unwrap_or_else(|| "/".to_owned()),
        stdout_name: "stdout.log".to_owned(),
        stdin_pipe: false,
        limits: run_limits(&row.spec.limits),
    }
}

struct ExecEnd {
    exit: ExitRecord,
    oom: bool,
}

impl ExecEnd {
    fn answer(self, directory: &Path, milliseconds: u64) -> ExecResponse {
        let output = |name: &str| head_and_tail(&directory.join(name));
        ExecResponse {
            exit_code: self.exit.exit_code,
            signal: self.exit.signal,
            reason: if self.oom { Some("memory_exceeded".to_owned()) } else { self.exit.reason },
            stdout: output("stdout.log"),
            stderr: output(STDERR_FILE),
            milliseconds,
        }
    }
}

/// A file's text within the budget, without reading all of a huge one.
fn head_and_tail(path: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        let most = EXEC_OUTPUT as u64;
        let mut bytes = Vec::new();
        (&mut file).take(most).read_to_end(&mut bytes)?;
        if length > most {
            file.seek(SeekFrom::Start(length.saturating_sub(most).max(most)))?;
            file.take(most).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    cut_middle(&String::from_utf8_lossy(&read().unwrap_or_default()), EXEC_OUTPUT)
}
