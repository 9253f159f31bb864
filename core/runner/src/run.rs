//! One run from its process's birth to its exit record.
//!
//! ```text
//! running --Stop--> asked (TERM, grace) --time--> killing (KILL in rounds)
//!    |                 |                             |
//!    +--first process dead: sweep what is left of its group, in rounds--> recorded
//! ```
//! A round kills what the control group lists. It is repeated when a child died and after a growing pause, until the
//! list is empty; what withstands it for [`GIVE_UP`] after the first process's death is named in the record's reason.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::kernel::{self, End};
use crate::protocol::{ExitRecord, LEASE_GRACE_MS, REASON_LEASE, REASON_OUTPUT, RunState, StartRun};
use crate::records::{self, RunDir};
use crate::spawn::{Child, Report};
use crate::stdin::Stdin;
use crate::terminal::{Pumped, Terminal};

/// How long the rest of a run is waited for after KILL.
pub const GIVE_UP: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How often the length of outputs that have a limit is looked at.
const MEASURE: Duration = Duration::from_millis(500);
const RECORD_RETRY: Duration = Duration::from_secs(1);
/// Longest stored reason in bytes.
const MAX_REASON: usize = 1024;

/// Files of a run.
#[derive(Debug)]
pub struct Files {
    pub dir: RunDir,
    pub stdout: File,
    pub stderr: File,
}

/// What a run has beside its files and its process, each only where it was asked for.
#[derive(Debug, Default)]
pub struct Extras {
    pub cgroup: Cgroup,
    pub terminal: Option<Terminal>,
    pub lease: Option<OwnedFd>,
}

/// A descriptor of a run that the loop watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// There may be room for more input.
    Stdin,
    /// Something was shown.
    Terminal,
    /// Nobody wants the run any more.
    Lease,
}

/// A run that has no exit record yet.
#[derive(Debug)]
pub struct Run {
    start: StartRun,
    started_at_ms: u64,
    started: Instant,
    files: Files,
    extras: Extras,
    group: i32,
    /// None once the first process is dead.
    pid: Option<i32>,
    report: Option<Report>,
    end: Option<End>,
    pub stdin: Stdin,
    reason: Option<String>,
    kill_at: Option<Instant>,
    measure_at: Option<Instant>,
    rounds: Option<Rounds>,
    leftovers: BTreeSet<i32>,
    record: Option<ExitRecord>,
}

#[derive(Debug)]
struct Rounds {
    next_at: Instant,
    pause: Duration,
    give_up_at: Option<Instant>,
}

fn ran_for(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Run {
    /// A run whose process was just made.
    pub fn new(
        start: StartRun,
        started_at_ms: u64,
        files: Files,
        extras: Extras,
        child: Child,
        now: Instant,
    ) -> Self {
        // A terminal's output passes through here and is counted on its way.
        let measured = start.options.max_output_bytes.is_some() && extras.terminal.is_none();
        Self {
            start,
            started_at_ms,
            started: now,
            files,
            extras,
            group: child.pid,
            pid: Some(child.pid),
            report: Some(child.report),
            end: None,
            stdin: child.stdin,
            reason: None,
            kill_at: None,
            measure_at: measured.then_some(now + MEASURE),
            rounds: None,
            leftovers: BTreeSet::new(),
            record: None,
        }
    }

    /// Its first process while it lives.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// As the protocol shows it.
    pub fn state(&self) -> RunState {
        RunState {
            run_id: self.start.run_id.clone(),
            pid: self.pid,
            stdin_accepted: self.stdin.accepted(),
            exit: self.record.clone(),
        }
    }

    /// What the loop watches for it. Stdin only while bytes wait.
    pub fn watched(&self) -> impl Iterator<Item = (Part, BorrowedFd<'_>)> {
        let stdin = self.stdin.blocked().map(|fd| (Part::Stdin, fd));
        let terminal = self.extras.terminal.as_ref().and_then(Terminal::watched);
        let terminal = terminal.map(|fd| (Part::Terminal, fd));
        let lease = self.extras.lease.as_ref().map(|lease| (Part::Lease, lease.as_fd()));
        stdin.into_iter().chain(terminal).chain(lease)
    }

    /// Something of it is ready.
    pub fn ready(&mut self, part: Part, now: Instant) {
        match part {
            Part::Stdin => self.stdin.feed(),
            Part::Terminal => self.pump(now),
            Part::Lease => {
                self.extras.lease = None;
                self.stop(now, Duration::from_millis(LEASE_GRACE_MS), REASON_LEASE);
            }
        }
    }

    /// Another size of its terminal.
    pub fn resize(&self, rows: u16, cols: u16) {
        if let Some(terminal) = &self.extras.terminal {
            terminal.resize(rows, cols);
        }
    }

    fn pump(&mut self, now: Instant) {
        let Some(terminal) = &mut self.extras.terminal else { return };
        match terminal.pump(&self.files.stdout) {
            Ok(Pumped::All | Pumped::More) => {}
            Ok(Pumped::TooLong) => self.stop(now, Duration::ZERO, REASON_OUTPUT),
            Err(error) => {
                // Without its reader the run would wait for ever, and what it shows would be lost in silence.
                self.extras.terminal = None;
                self.stop(now, Duration::ZERO, &format!("output: {error}"));
            }
        }
    }

    /// Nothing tells of a file's growth but an event for each write, so it is looked at now and then.
    fn measure(&mut self, now: Instant) {
        let Some(max) = self.start.options.max_output_bytes else { return };
        self.measure_at = self.pid.map(|_| now + MEASURE);
        if records::length(&self.files.stdout).saturating_add(records::length(&self.files.stderr)) > max {
            self.measure_at = None;
            self.stop(now, Duration::ZERO, REASON_OUTPUT);
        }
    }

    /// Sends `signal`; to the first process alone also when its group does not exist yet.
    pub fn signal(&self, signal: i32, whole_group: bool) {
        let Some(pid) = self.pid else { return };
        if !(whole_group && kernel::kill_group(self.group, signal)) {
            kernel::kill(pid, signal);
        }
    }

    /// Asks everything to end and sets the time of the killing. A repetition may only bring it forward.
    pub fn stop(&mut self, now: Instant, grace: Duration, reason: &str) {
        let at = now + grace;
        let first = self.kill_at.is_none();
        self.kill_at = Some(self.kill_at.map_or(at, |known| known.min(at)));
        if !first || self.pid.is_none() {
            return;
        }
        self.reason = Some(reason.to_owned());
        if grace.is_zero() {
            return;
        }
        self.signal(libc::SIGTERM, true);
        for pid in self.extras.cgroup.processes().unwrap_or_default() {
            kernel::kill(pid, libc::SIGTERM);
        }
        // A stopped process acts on TERM only when it goes on.
        self.signal(libc::SIGCONT, true);
    }

    /// The first process is dead but not reaped, so the number of its group still means this group.
    pub fn first_process_died(&mut self, end: End, now: Instant) {
        self.pid = None;
        self.end = Some(end);
        self.measure_at = None;
        self.extras.lease = None;
        self.stdin.close();
        let rounds = self.rounds.get_or_insert(Rounds::beginning(now));
        rounds.give_up_at = Some(now + GIVE_UP);
        rounds.pause = FIRST_PAUSE;
        self.kill_listed();
        kernel::kill_group(self.group, libc::SIGKILL);
    }

    /// A child of unknown origin is dead in process group `group`. Without a list this is how leftovers are counted.
    pub fn orphan_died(&mut self, pid: i32, group: i32) -> bool {
        let ours = self.end.is_some() && self.group == group;
        if ours {
            self.leftovers.insert(pid);
        }
        ours
    }

    /// Does what is due; `woken` when a child died since the last call. The state once the record is written.
    pub fn advance(&mut self, now: Instant, woken: bool) -> Option<RunState> {
        if self.measure_at.is_some_and(|at| at <= now) {
            self.measure(now);
        }
        if self.rounds.is_none() && self.kill_at.is_some_and(|at| at <= now) {
            self.rounds = Some(Rounds::beginning(now));
        }
        let rounds = self.rounds.as_mut()?;
        if !woken && now < rounds.next_at {
            return None;
        }
        rounds.next_at = now + rounds.pause;
        rounds.pause = (rounds.pause * 2).min(LONGEST_PAUSE);
        let given_up = rounds.give_up_at.is_some_and(|at| at <= now);
        if self.record.is_none() {
            let left = self.round();
            if self.pid.is_some() || (left > 0 && !given_up) {
                return None;
            }
            self.record = Some(self.conclude(left));
        }
        self.write_record(now)
    }

    /// When `advance` has something to do without being woken.
    pub fn due_at(&self) -> Option<Instant> {
        let ending = self.rounds.as_ref().map(|rounds| rounds.next_at).or(self.kill_at);
        ending.into_iter().chain(self.measure_at).min()
    }

    /// Kills what is there; how many were seen.
    fn round(&mut self) -> usize {
        if let Some(pid) = self.pid {
            kernel::kill_group(self.group, libc::SIGKILL);
            kernel::kill(pid, libc::SIGKILL);
        }
        self.kill_listed().unwrap_or_else(|| {
            // Signal zero only asks; the members were all told to die while the group's number was certain.
            usize::from(kernel::kill_group(self.group, 0))
        })
    }

    fn kill_listed(&mut self) -> Option<usize> {
        self.extras.cgroup.stop();
        let mut pids = self.extras.cgroup.processes()?;
        pids.retain(|pid| Some(*pid) != self.pid && (self.end.is_none() || *pid != self.group));
        for pid in &pids {
            kernel::kill(*pid, libc::SIGKILL);
        }
        if self.end.is_some() {
            self.leftovers.extend(&pids);
        }
        Some(pids.len())
    }

    fn conclude(&mut self, left: usize) -> ExitRecord {
        if let Some(mut terminal) = self.extras.terminal.take()
            && let Err(error) = terminal.drain(&self.files.stdout)
        {
            self.reason.get_or_insert_with(|| format!("output: {error}"));
        }
        let failure = self.report.take().and_then(|report| report.read(&self.start));
        let mut reason = failure.as_ref().map(|why| format!("spawn: {why}")).or_else(|| self.reason.clone());
        if left > 0 {
            let before = reason.map(|reason| reason + "; ").unwrap_or_default();
            reason = Some(format!("{before}processes that cannot be killed: {left}"));
        }
        let (exit_code, signal) = match self.end {
            _ if failure.is_some() => (None, None),
            Some(End::Exited(code)) => (Some(code), None),
            Some(End::Signalled(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        ExitRecord {
            run_id: self.start.run_id.clone(),
            attempt: self.start.attempt,
            exit_code,
            signal,
            reason: reason.map(bounded),
            started_at_ms: self.started_at_ms,
            // By the clock that cannot be set: the difference of the two is how long it ran.
            ended_at_ms: self.started_at_ms.saturating_add(ran_for(self.started)),
            stdout_bytes: records::length(&self.files.stdout),
            stderr_bytes: records::length(&self.files.stderr),
            leftovers_killed: u32::try_from(self.leftovers.len()).unwrap_or(u32::MAX),
        }
    }

    fn write_record(&mut self, now: Instant) -> Option<RunState> {
        let record = self.record.as_ref()?;
        match self.files.dir.write_exit(record) {
            Ok(()) => Some(self.state()),
            // Somebody removed the directory; there is no place for a record, and nobody to read it.
            Err(_) if self.files.dir.is_removed() => Some(self.state()),
            Err(error) => {
                report_failure(&record.run_id, &error);
                if let Some(rounds) = &mut self.rounds {
                    rounds.next_at = now + RECORD_RETRY;
                }
                None
            }
        }
    }
}

/// Reasons are kept in memory and told in every list, so they have an end.
fn bounded(mut reason: String) -> String {
    let end = (0..=MAX_REASON.min(reason.len())).rev().find(|i| reason.is_char_boundary(*i));
    reason.truncate(end.unwrap_or(0));
    reason
}

fn report_failure(run_id: &str, error: &io::Error) {
    kernel::say(&format!("the exit record of run {run_id} could not be written: {error}"));
}

impl Rounds {
    fn beginning(now: Instant) -> Self {
        Self { next_at: now, pause: FIRST_PAUSE, give_up_at: None }
    }
}
