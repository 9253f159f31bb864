//! Following one run until its exit record was read with all of its output.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use sandbox_runner::protocol::{EXIT_FILE, ExitRecord, STDERR_FILE};
use sandboxed_domain::api::{ApiError, ErrorCode, EventBody};
use sandboxed_domain::harness::{Codec, HarnessEvent};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};

use super::actor::{Actor, StepError};
use super::apply::{self, MAX_STORED_TEXT};
use super::inbox::look_after;
use super::keys::named;
use super::prepare::lend_login;
use super::stall::Quiet;
use super::storage::{DiskGuard, InboxGuard};
use super::{requests, tail};
use crate::harness::Moment;
use crate::sandbox::{LimitWatch, SandboxError};
use crate::store::{self, MissionRow, RunKind, RunPhase, RunRow, io_error};
use crate::workspace::Live;

/// Most bytes of output that one run may leave in its log.
const MAX_LOG: u64 = 1 << 30;
/// How long a harness may take to obey an interrupt before its process is stopped.
const INTERRUPT_GRACE: Duration = Duration::from_secs(2);
/// How long a process may take to obey TERM before everything of the run is killed.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How long a process may live on after its turn is over and its stdin is closed.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
/// Pause before the runner is asked again for what it refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// Longest check when the worker has no time-out.
const LONGEST_CHECK: Duration = Duration::from_secs(3600);
/// Refused forks after which a run is taken for a fork bomb rather than a busy build.
const FORK_BOMB: u64 = 64;

/// A run being followed.
struct Drive<'a, 'b> {
    actor: &'a Actor<'b>,
    run: RunRow,
    codec: Box<dyn Codec + Send>,
    protocol: bool,
    /// The end of its stdin is enough to end the process.
    ends_with_stdin: bool,
    /// It takes messages into a running turn.
    steers: bool,
    stdout: PathBuf,
    directory: PathBuf,
    sandbox: Option<Arc<Live>>,
    limits: Option<LimitWatch>,
    deadline: Option<tokio::time::Instant>,
    stopping: Stopping,
    /// Since when it says nothing.
    quiet: Quiet,
    /// It has stalled by then.
    stalls_at: Option<tokio::time::Instant>,
    /// Its stdin is closed: it should have ended by then.
    closing: Option<tokio::time::Instant>,
    /// The runner refused something: look again then.
    again_at: Option<tokio::time::Instant>,
    /// What happens to the inbox.
    inbox: InboxGuard,
    /// What happens to the workspace's own disk.
    disk: DiskGuard,
}

/// How far a requested stop has got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopping {
    No,
    Interrupted(tokio::time::Instant),
    Asked,
}

/// Follows `run` to its end.
pub(super) async fn drive(actor: &Actor<'_>, row: MissionRow, run: RunRow) -> Result<(), StepError> {
    let shared = actor.shared;
    let directory = shared.workspaces.paths(row.workspace_id).run(&run.id.to_string());
    let watch = shared
        .watcher
        .watch(&directory)
        .map_err(|source| StepError::Mission(lost(&directory, &source.to_string())))?;
    let sandbox = shared.workspaces.running(row.workspace_id).await;
    let limits = sandbox.as_ref().and_then(|sandbox| sandbox.watch_limits(&run.id.to_string()));
    let harness = Actor::harness(&row)?;
    let mut codec = harness.codec();
    if let Some(state) = row.codec_state.clone().filter(|_| run.kind == RunKind::Turn) {
        codec.restore(state);
    }
    if sandbox.is_some() && run.kind == RunKind::Turn {
        shared.sockets.open(actor.id, &actor.mission_dir(&row))?;
        // A run that an earlier daemon started uses the login that it was lent then.
        let harness = Actor::harness(&row)?;
        let credential = named(actor, harness, run.plan.credential.as_deref()).await?;
        let lent = lend_login(actor, &row, harness, &credential, Moment::Work).await;
        if let Err(error) = lent {
            tracing::warn!(mission = %actor.id, %error, "its login is not followed");
        }
    }
    let quiet = Quiet::of(&shared.store, &run, directory.join(STDERR_FILE)).await?;
    let workspace = row.workspace_id.to_string();
    let workspace = shared.store.read(move |c| store::find_workspace(c, &workspace)).await?;
    let disk = workspace.and_then(|workspace| shared.workspaces.disk(&workspace));
    let mut drive = Drive {
        actor,
        protocol: run.plan.stdin_pipe && run.kind == RunKind::Turn,
        ends_with_stdin: harness.ends_with_stdin(),
        steers: harness.capabilities().steer,
        stdout: directory.join(&run.plan.stdout_name),
        deadline: deadline(&row, &run),
        run,
        codec,
        directory,
        sandbox,
        limits,
        stopping: Stopping::No,
        quiet,
        stalls_at: None,
        closing: None,
        again_at: None,
        inbox: InboxGuard::new(look_after(shared, row.workspace_id)),
        disk: DiskGuard::new(disk),
    };
    drive.require_known().await;
    loop {
        if drive.round().await? {
            return Ok(());
        }
        drive.sleep(&watch).await;
    }
}

/// When the run's time is over, on the monotonic clock.
fn deadline(row: &MissionRow, run: &RunRow) -> Option<tokio::time::Instant> {
    let longest = match (row.spec.timeout_seconds, run.kind) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, RunKind::Verify) => LONGEST_CHECK,
        (None, RunKind::Turn) => return None,
    };
    Some(tokio::time::Instant::now() + longest.saturating_sub(spent(run)))
}

/// How long a run has run, over the lives of daemons. By the wall clock, which may have been set, only where nothing
/// else is known: for runs of older versions.
fn spent(run: &RunRow) -> Duration {
    let known = store::clocks_now().zip(run.clocks.as_ref());
    let spent = known.and_then(|(now, begun)| now.since(begun));
    spent.unwrap_or_else(|| (Utc::now() - run.started_at).to_std().unwrap_or_default())
}

fn lost(directory: &std::path::Path, why: &str) -> ApiError {
    ApiError::new(ErrorCode::RunnerLost, format!("the run's directory cannot be followed: {why}"))
        .field(directory.display().to_string())
        .hint("resume the worker; its work is on its branch and in its directory")
}

impl Drive<'_, '_> {
    /// The sandbox may be another one than that in which the run was started: then the run is lost.
    async fn require_known(&mut self) {
        let Some(sandbox) = &self.sandbox else { return };
        if let Err(SandboxError::UnknownRun { .. }) = sandbox.runner().status(&self.run.id.to_string()).await
        {
            self.sandbox = None
        }
    }

    /// Takes in all there is and answers it; true when the run has ended and is written down.
    async fn round(&mut self) -> Result<bool, StepError> {
        // The record is looked for first: what is read after it is all there ever will be.
        let exit = self.exit_record()?;
        let alive = self.sandbox.as_ref().is_some_and(|sandbox| sandbox.is_alive());
        self.read_output(exit.is_some() || !alive).await?;
        if exit.is_some() || !alive {
            // A sandbox that died a moment ago may have left the record just after we looked.
            let exit = match exit {
                Some(exit) => Some(exit),
                None => self.exit_record()?,
            };
            self.ended(exit).await?;
            return Ok(true);
        }
        let (row, fresh) = self.reload().await?;
        self.run = fresh;
        self.look_after(&row).await?;
        Ok(false)
    }

    fn exit_record(&self) -> Result<Option<ExitRecord>, StepError> {
        let path = self.directory.join(EXIT_FILE);
        match std::fs::read(&path) {
            // A power cut came before it was on the disk.
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| StepError::Mission(lost(&path, &e.to_string()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StepError::Mission(io_error(&path, &error))),
        }
    }

    async fn reload(&self) -> Result<(MissionRow, RunRow), StepError> {
        let (id, run) = (self.actor.id, self.run.clone());
        let pair = self.actor.shared.store.write(move |tx| {
            let row = store::get_mission(tx, id)?;
            Ok((row, store::latest_run(tx, id)?.unwrap_or(run)))
        });
        Ok(pair.await?)
    }

    /// Reads whole lines until there are no more.
    async fn read_output(&mut self, end: bool) -> Result<(), StepError> {
        if self.run.kind == RunKind::Verify {
            return Ok(());
        }
        loop {
            if !self.protocol && self.run.stored_bytes >= MAX_STORED_TEXT {
                self.run.offset = std::fs::metadata(&self.stdout).map(|m| m.len()).unwrap_or(self.run.offset);
                return Ok(());
            }
            let (path, offset, protocol) = (self.stdout.clone(), self.run.offset, self.protocol);
            let read =
                tokio::task::spawn_blocking(move || tail::read_piece(&path, offset, protocol, end)).await;
            let piece = match read {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(StepError::Mission(io_error(&self.stdout, &error))),
                Err(error) => return Err(StepError::Mission(lost(&self.stdout, &error.to_string()))),
            };
            self.store(piece).await?;
        }
    }

    async fn store(&mut self, piece: tail::Piece) -> Result<(), StepError> {
        let lines: Vec<&str> = piece.text.split_terminator('\n').collect();
        let events = self.codec.decode_lines(&lines);
        self.quiet.heard(&events);
        if events.contains(&HarnessEvent::CredentialTaken) {
            // Before what is sent next, with which it may start others.
            let row = self.reload().await?.0;
            self.actor.take_key_away(&row).await;
        }
        let (id, snapshot, bytes) = (self.actor.id, self.codec.snapshot(), piece.bytes);
        let fallback = self.run.clone();
        self.run = self
            .actor
            .shared
            .store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                let mut run = store::latest_run(tx, id)?.unwrap_or(fallback);
                run.offset += bytes;
                apply::store_piece(tx, &mut row, &mut run, events, snapshot)?;
                Ok(run)
            })
            .await?;
        Ok(())
    }

    /// Everything that is due while the run lives.
    async fn look_after(&mut self, row: &MissionRow) -> Result<(), StepError> {
        let Some(sandbox) = self.sandbox.clone() else { return Ok(()) };
        self.again_at = None;
        self.check_limits(row, &sandbox).await?;
        self.check_silence(row, &sandbox).await?;
        self.check_storage(row, &sandbox).await?;
        if self.run.kind == RunKind::Turn && self.run.plan.stdin_pipe && !self.run.stdin_closed {
            self.actor.answers(&mut self.run, self.codec.as_mut()).await?;
            if self.steers && !self.run.idle && row.stop_reason.is_none() {
                self.actor.steer(&mut self.run, self.codec.as_mut()).await?;
            }
            if self.run.idle && row.stop_reason.is_none() {
                let failed = row.last_turn.as_ref().is_some_and(|turn| !turn.success);
                if failed || !self.actor.next_turn(&mut self.run, self.codec.as_mut()).await? {
                    self.actor.close_stdin(&mut self.run).await?;
                }
            }
        }
        if let Some(reason) = row.stop_reason.clone() {
            self.stop(&sandbox, &reason).await?;
        }
        self.expect_end(&sandbox).await;
        if self.actor.flush_stdin(&sandbox, &self.run).await? {
            self.again_at = Some(tokio::time::Instant::now() + REFUSED_PAUSE);
        }
        Ok(())
    }

    /// A process that was told that nothing more will come has to end; some stay for the servers they started.
    async fn expect_end(&mut self, sandbox: &Live) {
        if !self.protocol || !self.run.stdin_closed || self.stopping != Stopping::No {
            return;
        }
        let now = tokio::time::Instant::now();
        let grace = if self.ends_with_stdin { CLOSE_GRACE } else { Duration::ZERO };
        if now >= *self.closing.get_or_insert(now + grace) {
            self.ask_to_stop(sandbox, STOP_GRACE, "did not end when its turn was over").await;
        }
    }

    /// Interrupts first where the harness can, then stops the process, then everything of the run.
    async fn stop(&mut self, sandbox: &Live, reason: &str) -> Result<(), StepError> {
        let now = tokio::time::Instant::now();
        if self.stopping == Stopping::No
            && !self.run.idle
            && !self.run.stdin_closed
            && self.protocol
            && self.actor.interrupt(&mut self.run, self.codec.as_mut()).await?
        {
            self.stopping = Stopping::Interrupted(now + INTERRUPT_GRACE);
            return Ok(());
        }
        let waits = matches!(self.stopping, Stopping::Interrupted(until) if now < until && !self.run.idle);
        if self.stopping != Stopping::Asked && !waits {
            self.ask_to_stop(sandbox, STOP_GRACE, reason).await;
        }
        Ok(())
    }

    /// A run that ended meanwhile needs no stopping: its record is on the way.
    async fn ask_to_stop(&mut self, sandbox: &Live, grace: Duration, reason: &str) {
        match sandbox.runner().stop_run(&self.run.id.to_string(), grace, reason).await {
            Ok(()) | Err(SandboxError::UnknownRun { .. }) => self.stopping = Stopping::Asked,
            Err(error) => {
                tracing::warn!(run = %self.run.id, %error, "the run cannot be stopped; trying again");
                self.again_at = Some(tokio::time::Instant::now() + REFUSED_PAUSE);
            }
        }
    }

    /// Limits that have been passed become a reason to stop.
    async fn check_limits(&mut self, row: &MissionRow, sandbox: &Live) -> Result<(), StepError> {
        if row.stop_reason.is_some() {
            return Ok(());
        }
        let id = self.run.id.to_string();
        let size = std::fs::metadata(&self.stdout).map_or(0, |m| m.len());
        let late = self.deadline.is_some_and(|at| tokio::time::Instant::now() >= at);
        let reason = if sandbox.oom_kills(&id) > 0 {
            TerminalReason::MemoryExceeded
        } else if sandbox.refused_forks(&id) >= FORK_BOMB {
            TerminalReason::ProcessesExceeded
        } else if size > MAX_LOG {
            TerminalReason::OutputExceeded
        } else if late {
            TerminalReason::TimedOut
        } else {
            return Ok(());
        };
        // A bomb gets no grace: its neighbours are waiting.
        if matches!(reason, TerminalReason::MemoryExceeded | TerminalReason::ProcessesExceeded) {
            self.ask_to_stop(sandbox, Duration::ZERO, &reason.as_str()).await;
        }
        self.actor
            .update(move |_, row| {
                row.stop_reason.get_or_insert(reason.as_str());
                Ok(())
            })
            .await?;
        self.actor.wake.notify_one();
        Ok(())
    }

    /// A turn that has been silent for too long is stopped, with what speaks for that.
    async fn check_silence(&mut self, row: &MissionRow, sandbox: &Live) -> Result<(), StepError> {
        let runs = self.protocol && !self.run.idle && row.stop_reason.is_none();
        let settings = &self.actor.shared.settings;
        self.stalls_at = self.quiet.due(settings, row, runs);
        let now = tokio::time::Instant::now();
        if self.stalls_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        self.quiet.look_at_words();
        self.stalls_at = self.quiet.due(settings, row, runs);
        if self.stalls_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        let run = self.run.id.to_string();
        let message = self.quiet.evidence(&self.actor.shared.store, self.actor.id, &run, sandbox).await;
        self.actor
            .update(move |tx, row| {
                row.stop_reason.get_or_insert(TerminalReason::Stalled.as_str());
                row.error = Some(message.clone());
                let body = EventBody::Error { code: "stalled".to_owned(), message };
                store::append_event(tx, row.id, &body).map(drop)
            })
            .await?;
        self.actor.wake.notify_one();
        Ok(())
    }

    /// A mission is told of what becomes full; a run that fills the inbox is stopped at its quota.
    async fn check_storage(&mut self, row: &MissionRow, sandbox: &Live) -> Result<(), StepError> {
        if let Some(event) = self.disk.look() {
            let told = move |tx: &mut store::Tx<'_>, row: &mut MissionRow| {
                store::append_event(tx, row.id, &event).map(drop)
            };
            self.actor.update(told).await?;
        }
        let Some(found) = self.inbox.look(&self.run.id.to_string(), sandbox) else { return Ok(()) };
        if found.fills && row.stop_reason.is_none() {
            self.ask_to_stop(sandbox, Duration::ZERO, &TerminalReason::DiskExceeded.as_str()).await;
        }
        self.actor.update(move |tx, row| found.write(tx, row)).await?;
        self.actor.wake.notify_one();
        Ok(())
    }

    /// Until something happens.
    async fn sleep(&mut self, watch: &super::watch::Watch) {
        let interrupt = match self.stopping {
            Stopping::Interrupted(until) => Some(until),
            Stopping::No | Stopping::Asked => None,
        };
        let deadline = self.deadline.filter(|_| self.stopping == Stopping::No);
        let closing = self.closing.filter(|_| self.stopping == Stopping::No);
        let stalls = self.stalls_at.filter(|_| self.stopping == Stopping::No);
        let due = [deadline, interrupt, closing, stalls, self.again_at].into_iter().flatten().min();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let died = async {
            match &self.sandbox {
                Some(sandbox) => sandbox.died().await,
                None => std::future::pending().await,
            }
        };
        let limit = async {
            match &mut self.limits {
                // A watch that fails stays silent; the figures are read again at the end.
                Some(limits) => match limits.next().await {
                    Ok(_) => {}
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = watch.changed() => {}
            () = self.actor.wake.notified() => {}
            () = timer => {}
            () = died => {}
            () = limit => {}
            () = self.inbox.changed() => {}
        }
    }

    /// Removes the run's cgroup; tells how many of its processes the kernel ended for want of memory.
    async fn close_run(&self, sandbox: &Live) -> u64 {
        match sandbox.runner().close_run(&self.run.id.to_string()).await {
            Ok(figures) => figures.oom_kills,
            Err(error) => {
                tracing::warn!(run = %self.run.id, %error, "the run's cgroup cannot be removed");
                0
            }
        }
    }

    /// Writes the end of the run; without a record the runner was lost.
    async fn ended(&mut self, exit: Option<ExitRecord>) -> Result<(), StepError> {
        let (code, signal) = exit.as_ref().map_or((None, None), |exit| (exit.exit_code, exit.signal));
        let started = exit.as_ref().is_none_or(|exit| exit.exit_code.is_some() || exit.signal.is_some());
        let turn = self.run.kind == RunKind::Turn;
        let events = if turn { self.codec.finish(code, signal) } else { Vec::new() };
        let snapshot = self.codec.snapshot();
        let id = self.actor.id;
        let text_tail = (turn && !self.protocol).then(|| tail::tail_text(&self.stdout, 2000));
        let stderr = tail::tail_text(&self.directory.join(STDERR_FILE), 2000);
        let sandbox = self.sandbox.clone();
        let oom = match &sandbox {
            Some(sandbox) => self.close_run(sandbox).await,
            None => 0,
        };
        let fallback = self.run.clone();
        let filled = self.inbox.last_look(&self.actor.shared.workspaces).await;
        let (disk, disk_full) = self.disk.last_look();
        self.actor
            .shared
            .store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                let mut run = store::latest_run(tx, id)?.unwrap_or(fallback);
                if let Some(filled) = filled {
                    filled.write(tx, &mut row)?;
                }
                if let Some(event) = disk {
                    store::append_event(tx, id, &event)?;
                }
                if turn {
                    let before = row.error.clone();
                    apply::store_piece(tx, &mut row, &mut run, events, snapshot)?;
                    explain(&mut row, before, exit.as_ref(), started, &stderr);
                    if let Some(text) = text_tail {
                        row.last_message = text.trim_end().to_owned();
                    }
                }
                if turn && disk_full && row.last_turn.as_ref().is_some_and(|turn| !turn.success) {
                    row.stop_reason.get_or_insert(TerminalReason::DiskExceeded.as_str());
                }
                if oom > 0 {
                    row.stop_reason.get_or_insert(TerminalReason::MemoryExceeded.as_str());
                }
                if exit.is_none() {
                    row.stop_reason.get_or_insert(TerminalReason::RunnerLost.as_str());
                }
                // Nobody is there any more who could be answered, or take up a message.
                requests::close_all(tx, id)?;
                store::requeue_steered(tx, id)?;
                if row.status == MissionStatus::NeedsInput {
                    store::transition(tx, &mut row, MissionStatus::Active, None)?;
                }
                run.phase = RunPhase::Ended;
                run.exit = exit;
                store::save_run(tx, &run)?;
                store::save_mission(tx, &row)
            })
            .await?;
        Ok(())
    }
}

/// Adds what the process itself said to the error of a turn that ended without the harness's own words.
fn explain(
    row: &mut MissionRow,
    before: Option<String>,
    exit: Option<&ExitRecord>,
    started: bool,
    stderr: &str,
) {
    if !started {
        row.error = exit.and_then(|exit| exit.reason.clone());
    } else if row.error != before && !stderr.trim().is_empty() {
        let words = row.error.take().unwrap_or_default();
        let tail = super::manager::one_line(stderr, 400);
        row.error = Some(format!("{words}; stderr: {tail}"));
    }
}
