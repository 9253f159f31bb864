//! A program at a terminal in a workspace, for as long as somebody watches it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox_runner::protocol::{EXIT_FILE, ExitRecord};
use sandboxed_domain::api::{ApiError, ErrorCode, ExecParams, ShellEvent, ShellInput, ShellParams};
use sandboxed_domain::policy;

use super::App;
use super::spaces::exec_request;
use crate::mission::Watch;
use crate::store::{blocking, io_error};
use crate::workspace::Live;

/// What runs when nothing is named: bash where there is one.
const LOGIN: [&str; 3] = ["/bin/sh", "-c", "command -v bash >/dev/null && exec bash -l; exec sh -l"];
/// Size and kind of a terminal that nobody described.
const SIZE: (u16, u16) = (24, 80);
const KIND: &str = "xterm-256color";
/// Most bytes of one event.
const PIECE: u64 = 48 << 10;
/// How long what nobody watches any more may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// A program at a terminal. It ends when this is dropped.
pub struct Shell {
    run: ShellRun,
    watch: Watch,
    read: u64,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    New,
    Running,
    Ended,
}

/// What is left to end and to remove.
struct ShellRun {
    live: Arc<Live>,
    id: String,
    directory: PathBuf,
}

impl App {
    /// Starts a program at a terminal.
    ///
    /// # Errors
    /// No such workspace or directory, the sandbox's errors.
    pub async fn open_shell(&self, id: &str, params: ShellParams) -> Result<Shell, ApiError> {
        if let Some(directory) = &params.cwd {
            policy::absolute_path("cwd", directory)?;
        }
        if params.argv.iter().any(|argument| argument.contains('\0')) {
            return Err(ApiError::invalid("argv", "contains a NUL").hint("leave the zero byte out"));
        }
        let row = self.workspace(id).await?;
        let live = self.running(&row).await?;
        let argv = match params.argv.is_empty() {
            true => LOGIN.map(str::to_owned).into(),
            false => params.argv,
        };
        let cwd = params.cwd.or_else(|| Some("/root".to_owned()));
        let mut request = exec_request(
            &row,
            self.workspaces.shared_env(&row),
            ExecParams { argv, cwd, timeout_seconds: None },
        );
        request.env.insert("TERM".to_owned(), params.term.unwrap_or_else(|| KIND.to_owned()));
        request.stdin_pipe = true;
        let directory = self.workspaces.paths(row.id).run(&request.run_id);
        let run = ShellRun { live: Arc::clone(&live), id: request.run_id.clone(), directory };
        let (rows, cols) = (params.rows.unwrap_or(SIZE.0), params.cols.unwrap_or(SIZE.1));
        live.runner().start_at_terminal(request, rows, cols).await?;
        let watch = self.missions.watch(&run.directory).map_err(|error| io_error(&run.directory, &error))?;
        Ok(Shell { run, watch, read: 0, state: State::New })
    }

    /// Keys for it, or another size.
    ///
    /// # Errors
    /// It has ended, or does not read.
    pub async fn shell_input(&self, id: &str, run: &str, input: ShellInput) -> Result<(), ApiError> {
        let row = self.workspace(id).await?;
        let gone = || ApiError::new(ErrorCode::NotFound, "this shell has ended").field("run");
        let live = self.workspaces.running(row.id).await.ok_or_else(gone)?;
        let runner = live.runner();
        let state = runner.status(run).await.map_err(|_| gone())?;
        if state.exit.is_some() {
            return Err(gone());
        }
        if let (Some(rows), Some(cols)) = (input.rows, input.cols) {
            // A sandbox that runs since before an upgrade has a runner that does not know how.
            if let Err(error) = runner.resize(run, rows, cols).await {
                tracing::debug!(%error, "the terminal keeps its size");
            }
        }
        if !input.data.is_empty() {
            runner.write_stdin(run, state.stdin_accepted, &input.data).await?;
        }
        if input.close {
            runner.close_stdin(run).await?;
        }
        Ok(())
    }
}

impl Shell {
    /// What happens next; none after its end was told.
    pub async fn next(&mut self) -> Option<ShellEvent> {
        match self.state {
            State::Ended => return None,
            State::New => {
                self.state = State::Running;
                return Some(ShellEvent::Started { run_id: self.run.id.clone() });
            }
            State::Running => {}
        }
        loop {
            let (directory, at) = (self.run.directory.clone(), self.read);
            // The record first: whatever it showed before its end is there then.
            let found = blocking(move || (exit_record(&directory), piece(&directory, at))).await;
            let (exit, bytes) = found.unwrap_or_default();
            if !bytes.is_empty() {
                self.read += bytes.len() as u64;
                return Some(ShellEvent::Output { data: STANDARD.encode(bytes) });
            }
            if let Some(exit) = exit {
                self.state = State::Ended;
                let ExitRecord { exit_code, signal, reason, .. } = exit;
                return Some(ShellEvent::Ended { exit_code, signal, reason });
            }
            tokio::select! {
                () = self.watch.changed() => {}
                () = self.run.live.died() => {
                    self.state = State::Ended;
                    let reason = Some("runner_lost".to_owned());
                    return Some(ShellEvent::Ended { exit_code: None, signal: None, reason });
                }
            }
        }
    }
}

fn exit_record(directory: &std::path::Path) -> Option<ExitRecord> {
    serde_json::from_slice(&std::fs::read(directory.join(EXIT_FILE)).ok()?).ok()
}

/// What was shown from `at` on.
fn piece(directory: &std::path::Path, at: u64) -> Vec<u8> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(directory.join("stdout.log"))?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(PIECE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}

impl Drop for ShellRun {
    /// What was shown may be secret: nothing of it is kept.
    fn drop(&mut self) {
        let (live, id, directory) = (Arc::clone(&self.live), self.id.clone(), self.directory.clone());
        // Ends by itself: the run is stopped, then its files go.
        tokio::spawn(async move {
            let _ = live.runner().stop_run(&id, GRACE, "owner_gone").await;
            let _ = live.runner().close_run(&id).await;
            let _ = tokio::fs::remove_dir_all(directory).await;
        });
    }
}
