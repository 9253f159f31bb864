//! All runs of this runner, and what each request does to them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::protocol::{
    ExitRecord, Output, PROTOCOL_VERSION, Request, Response, RunMetadata, RunState, STDERR_FILE, StartRun,
    valid_output_name, valid_run_id,
};

use crate::cgroup::Cgroup;
use crate::kernel::Dead;
use crate::records::{self, RunDir};
use crate::run::{Extras, Files, GIVE_UP, Part, Run};
use crate::spawn::{self, Child, Plan, SpawnError, Stdio};
use crate::stdin::Stdin;
use crate::terminal::{self, Terminal};

/// Ended runs kept in memory; older ones are read from their records.
const MAX_ENDED: usize = 1024;
/// Runs at once. Each holds up to six descriptors.
const MAX_LIVE: usize = 1024;
/// Longest grace: a day. Longer ones would not fit the clock's arithmetic.
const MAX_GRACE_MS: u64 = 86_400_000;

/// The runs.
#[derive(Debug)]
pub struct Supervisor {
    control: OwnedFd,
    dev_null: OwnedFd,
    nofile: libc::rlimit,
    live: BTreeMap<String, Run>,
    ended: BTreeMap<String, RunState>,
    ended_order: VecDeque<String>,
    leave_at: Option<Instant>,
}

/// How many descriptors `request` brings.
pub fn expected_fds(request: &Request) -> usize {
    match request {
        Request::Start(start) => {
            let last = usize::from(start.has_procs_fd)
                + usize::from(start.stop_payload.is_some())
                + usize::from(start.options.has_lease_fd);
            usize::try_from(start.join_fds).unwrap_or(usize::MAX).saturating_add(last)
        }
        _ => 0,
    }
}

impl Supervisor {
    /// No runs yet. `control` is the open control directory, `nofile` the limit that runs get.
    pub fn new(control: OwnedFd, nofile: libc::rlimit) -> io::Result<Self> {
        // Opened once: later the workload may have put something at this path that blocks.
        let dev_null = File::open("/dev/null")?.into();
        let (live, ended) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { control, dev_null, nofile, live, ended, ended_order: VecDeque::new(), leave_at: None })
    }

    /// Carries out one request. `fds` are exactly the [`expected_fds`].
    pub fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) -> Response {
        let now = Instant::now();
        match request {
            Request::Hello => self.hello(),
            Request::Start(start) => self.start(start, fds),
            Request::Status { run_id } => self.status(&run_id),
            Request::WriteStdin { run_id, offset, data } => {
                self.with_live(&run_id, |run| match run.stdin.accept(offset, data.as_bytes()) {
                    Ok(()) => Response::Run(run.state()),
                    Err(error) => failed(error.code(), error),
                })
            }
            Request::CloseStdin { run_id } => self.with_live(&run_id, |run| {
                run.stdin.end();
                Response::Run(run.state())
            }),
            Request::Signal { run_id, signal, group } => {
                if !(1..=64).contains(&signal) {
                    return failed("protocol", format!("there is no signal {signal}"));
                }
                self.with_live(&run_id, |run| {
                    run.signal(signal, group);
                    Response::Run(run.state())
                })
            }
            Request::Resize { run_id, rows, cols } => self.with_live(&run_id, |run| {
                run.resize(rows, cols);
                Response::Run(run.state())
            }),
            Request::Stop { run_id, grace_ms, reason } => self.with_live(&run_id, |run| {
                run.stop(now, grace(grace_ms), &reason);
                Response::Run(run.state())
            }),
            Request::Shutdown { grace_ms } => {
                self.shut_down(now, grace(grace_ms));
                Response::Ok
            }
        }
    }

    /// Ends all runs and takes no new ones.
    pub fn shut_down(&mut self, now: Instant, grace: Duration) {
        let leave_at = now + grace + GIVE_UP + GIVE_UP / 2;
        self.leave_at = Some(self.leave_at.map_or(leave_at, |known| known.min(leave_at)));
        for run in self.live.values_mut() {
            run.stop(now, grace, "shutdown");
        }
    }

    /// Whether it was told to end and has nothing left to wait for.
    pub fn is_done(&self, now: Instant) -> bool {
        self.leave_at.is_some_and(|at| self.live.is_empty() || at <= now)
    }

    /// Takes all dead children off the process table.
    pub fn reap(&mut self) {
        let now = Instant::now();
        while let Some(dead) = Dead::peek() {
            if let Some(run) = self.live.values_mut().find(|run| run.pid() == Some(dead.pid)) {
                run.first_process_died(dead.end, now);
            } else if let Some(group) = dead.group() {
                self.live.values_mut().any(|run| run.orphan_died(dead.pid, group));
            }
            dead.reap();
        }
    }

    /// Does what is due; `woken` when children died.
    pub fn advance(&mut self, now: Instant, woken: bool) {
        let ended: Vec<RunState> = self.live.values_mut().filter_map(|run| run.advance(now, woken)).collect();
        for state in ended {
            self.live.remove(&state.run_id);
            self.remember(state);
        }
    }

    /// When [`Self::advance`] has something to do.
    pub fn due_at(&self) -> Option<Instant> {
        self.live.values().filter_map(Run::due_at).chain(self.leave_at).min()
    }

    /// Whether nothing runs.
    pub fn is_idle(&self) -> bool {
        self.live.is_empty()
    }

    /// Descriptors of runs that the loop watches.
    pub fn watched(&self) -> impl Iterator<Item = (&str, Part, BorrowedFd<'_>)> {
        self.live.iter().flat_map(|(id, run)| run.watched().map(move |(part, fd)| (id.as_str(), part, fd)))
    }

    /// Something of this run is ready.
    pub fn ready(&mut self, run_id: &str, part: Part, now: Instant) {
        if let Some(run) = self.live.get_mut(run_id) {
            run.ready(part, now);
        }
    }

    fn hello(&self) -> Response {
        let live = self.live.values().map(Run::state);
        let runs = live.chain(self.ended.values().cloned()).collect();
        Response::Hello { version: PROTOCOL_VERSION, runs }
    }

    fn with_live(&mut self, run_id: &str, act: impl FnOnce(&mut Run) -> Response) -> Response {
        match self.live.get_mut(run_id) {
            Some(run) => act(run),
            None => self.status(run_id),
        }
    }

    fn status(&self, run_id: &str) -> Response {
        match self.known(run_id) {
            Some(state) => Response::Run(state),
            None => Response::UnknownRun { run_id: run_id.to_owned() },
        }
    }

    /// From memory, else from its exit record.
    fn known(&self, run_id: &str) -> Option<RunState> {
        let state = self.live.get(run_id).map(Run::state).or_else(|| self.ended.get(run_id).cloned());
        if state.is_some() || !valid_run_id(run_id) {
            return state;
        }
        let record = RunDir::open(self.control.as_fd(), run_id).and_then(|dir| dir.read_exit()).ok()?;
        Some(RunState { run_id: record.run_id.clone(), pid: None, stdin_accepted: 0, exit: Some(record) })
    }

    fn start(&mut self, start: StartRun, fds: Vec<OwnedFd>) -> Response {
        if !valid_run_id(&start.run_id) || !valid_output_name(&start.stdout_name) {
            return failed("protocol", "the run id or the name of its output is not allowed");
        }
        if let Some(state) = self.known(&start.run_id) {
            return Response::Run(state);
        }
        if self.leave_at.is_some() {
            return failed("stopping", "the runner is shutting down");
        }
        if self.live.len() >= MAX_LIVE {
            return failed("spawn", format!("{MAX_LIVE} runs are live"));
        }
        let started_at_ms = records::now_ms();
        let claimed = RunDir::create(self.control.as_fd(), &start.run_id).and_then(|dir| {
            dir.write_metadata(&metadata(&start, started_at_ms))?;
            Ok(dir)
        });
        match claimed {
            Ok(dir) => self.begin(dir, start, started_at_ms, fds),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                failed("records", "another runner began this run and left no record of its end")
            }
            Err(error) => failed("records", error),
        }
    }

    /// From here on the run is claimed, so whatever happens must end in a record.
    fn begin(&mut self, dir: RunDir, start: StartRun, started_at_ms: u64, fds: Vec<OwnedFd>) -> Response {
        match self.fork(&dir, &start, fds) {
            Ok(Born { stdout, stderr, extras, child }) => {
                let files = Files { dir, stdout, stderr };
                let run = Run::new(start.clone(), started_at_ms, files, extras, child, Instant::now());
                let state = run.state();
                self.live.insert(start.run_id, run);
                Response::Run(state)
            }
            Err(why) => self.never_started(&dir, start, started_at_ms, &why),
        }
    }

    fn fork(&self, dir: &RunDir, start: &StartRun, fds: Vec<OwnedFd>) -> Result<Born, SpawnError> {
        let plan = Plan::new(start)?;
        let stdout = dir.new_output(&start.stdout_name)?;
        let stderr = dir.new_output(STDERR_FILE)?;
        let mut fds = fds.into_iter();
        let joins: Vec<_> =
            fds.by_ref().take(usize::try_from(start.join_fds).unwrap_or(usize::MAX)).collect();
        let procs = if start.has_procs_fd { fds.next() } else { None };
        let stop = start.stop_payload.clone().and_then(|payload| Some((fds.next()?, payload)));
        let cgroup = Cgroup::new(procs, stop);
        let options = &start.options;
        let (master, slave) = match options.output {
            Output::Terminal { rows, cols } => Some(terminal::open(rows, cols)?),
            Output::Separate | Output::Merged => None,
        }
        .unzip();
        let stdio = Stdio {
            dev_null: &self.dev_null,
            stdin_pipe: start.stdin_pipe,
            stdout: &stdout,
            stderr: if options.output == Output::Merged { &stdout } else { &stderr },
            terminal: slave.as_ref(),
        };
        let keyboard = master.as_ref().map(File::try_clone).transpose()?;
        let mut child = spawn::spawn(&plan, &stdio, &joins, &self.nofile)?;
        if let Some(keyboard) = keyboard {
            child.stdin = Stdin::terminal(keyboard);
        }
        let terminal = master.map(|master| Terminal::new(master, options.max_output_bytes));
        Ok(Born { stdout, stderr, extras: Extras { cgroup, terminal, lease: fds.next() }, child })
    }

    fn never_started(&mut self, dir: &RunDir, start: StartRun, at_ms: u64, why: &SpawnError) -> Response {
        let record = ExitRecord {
            run_id: start.run_id,
            attempt: start.attempt,
            exit_code: None,
            signal: None,
            reason: Some(format!("spawn: {why}")),
            started_at_ms: at_ms,
            ended_at_ms: records::now_ms(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            leftovers_killed: 0,
        };
        if let Err(error) = dir.write_exit(&record) {
            dir.abandon(&start.stdout_name);
            return failed("records", format!("{why}; and its exit record could not be written: {error}"));
        }
        let state =
            RunState { run_id: record.run_id.clone(), pid: None, stdin_accepted: 0, exit: Some(record) };
        self.remember(state.clone());
        Response::Run(state)
    }

    fn remember(&mut self, state: RunState) {
        self.ended_order.push_back(state.run_id.clone());
        self.ended.insert(state.run_id.clone(), state);
        while self.ended_order.len() > MAX_ENDED {
            if let Some(oldest) = self.ended_order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
    }
}

/// A process and what it was made with.
struct Born {
    stdout: File,
    stderr: File,
    extras: Extras,
    child: Child,
}

fn metadata(start: &StartRun, started_at_ms: u64) -> RunMetadata {
    RunMetadata {
        run_id: start.run_id.clone(),
        attempt: start.attempt,
        argv: start.argv.clone(),
        cwd: start.cwd.clone(),
        started_at_ms,
        options: start.options.clone(),
    }
}

fn grace(ms: u64) -> Duration {
    Duration::from_millis(ms.min(MAX_GRACE_MS))
}

fn failed(code: &str, message: impl ToString) -> Response {
    Response::Failed { code: code.to_owned(), message: message.to_string() }
}
