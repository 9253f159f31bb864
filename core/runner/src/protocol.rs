//! Words between the daemon and the runner.
//!
//! A connection carries frames: a big-endian `u32` length, then that many bytes of JSON, one [`Request`] answered by
//! one [`Response`]. File descriptors of a [`Request::Start`] travel by `SCM_RIGHTS` with the frame's first byte, in
//! the order of [`StartRun`]'s doc. A frame is at most [`MAX_FRAME`] bytes; longer input to a run is sent in pieces.
//!
//! Every request may be repeated: starting a known run answers with its state, and stdin is addressed by offset, so a
//! daemon that died between sending and remembering loses and doubles nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest frame in bytes.
pub const MAX_FRAME: usize = 4 << 20;
/// Most bytes of stdin kept for one run that does not read.
pub const MAX_STDIN_BUFFER: usize = 32 << 20;
/// Version of these words; a runner answers requests of its own version and older ones. Version 2 brought
/// [`RunOptions`], which an older runner passes over: who needs them asks with [`Request::Hello`] first.
pub const PROTOCOL_VERSION: u32 = 2;

/// Most descriptors of one request.
pub const MAX_FDS: usize = 16;

/// Name of the runner's socket in the control directory.
pub const SOCKET_FILE: &str = "runner.sock";
/// Name of the file in the control directory that a host runner keeps locked while it lives.
pub const LOCK_FILE: &str = "runner.lock";
/// Name of the folder in the control directory that holds one directory for each run.
pub const RUNS_DIR: &str = "runs";
/// Name of the record that proves how a run ended.
pub const EXIT_FILE: &str = "exit.json";
/// Name of the record written before a run starts.
pub const METADATA_FILE: &str = "metadata.json";
/// Name of the error output.
pub const STDERR_FILE: &str = "stderr.log";

/// Grace of a run whose lease ended.
pub const LEASE_GRACE_MS: u64 = 2_000;
/// Reason of such an end.
pub const REASON_LEASE: &str = "owner_gone";
/// Reason of an end for too much output.
pub const REASON_OUTPUT: &str = "output_exceeded";

/// What the daemon asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Who are you, and what runs?
    Hello,
    /// Start a run; answered by [`Response::Run`]. Carries descriptors.
    Start(StartRun),
    /// Bytes for a run's stdin, beginning at `offset` of the whole stream; bytes that were accepted before are skipped.
    WriteStdin {
        /// Which run.
        run_id: String,
        /// Where `data` begins in the stream of all bytes ever sent.
        offset: u64,
        /// UTF-8 bytes.
        data: String,
    },
    /// End of stdin after everything accepted so far.
    CloseStdin {
        /// Which run.
        run_id: String,
    },
    /// A signal to the run's first process (`group: false`) or its process group.
    Signal {
        /// Which run.
        run_id: String,
        /// Signal number.
        signal: i32,
        /// Whether the whole process group gets it.
        group: bool,
    },
    /// TERM to the group, KILL to everything of the run after `grace_ms`. Answered at once.
    Stop {
        /// Which run.
        run_id: String,
        /// Milliseconds of grace; zero kills at once.
        grace_ms: u64,
        /// Stored in the exit record's `reason`.
        reason: String,
    },
    /// Another size of a run's terminal; the run is told as by any terminal. A run without one is left as it is.
    Resize {
        /// Which run.
        run_id: String,
        /// Height in lines.
        rows: u16,
        /// Width in columns.
        cols: u16,
    },
    /// The state of one run.
    Status {
        /// Which run.
        run_id: String,
    },
    /// End all runs (KILL after `grace_ms`), write their records, then exit; in a container this ends the sandbox.
    Shutdown {
        /// Milliseconds of grace.
        grace_ms: u64,
    },
}

/// Start one process of a harness.
///
/// The run's directory is `runs/<run_id>` in the control directory; the runner makes it when it is not there yet. It does
/// not travel as a descriptor: a container's root owns nothing on the daemon's own mounts, while the control directory
/// is bound so that this root may write there.
///
/// Descriptors, in order: `join_fds` descriptors of `tasks` (v1) or `cgroup.procs` (v2) files, open for writing, into
/// which the child, which has one thread, writes `0` before it executes, then, when `has_procs_fd`, one `cgroup.procs` open for reading (to find what is left at the
/// end), then, when `stop_payload` is set, one control file that gets `stop_payload` before the killing (`pids.max` <-
/// `0` on v1, `cgroup.kill` <- `1` on v2), then, when `options.has_lease_fd`, the reading end of a pipe. A frozen cgroup
/// must be thawed by who froze it: nothing dies in it before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRun {
    /// Unique id, also the name of its directory; see [`valid_run_id`].
    pub run_id: String,
    /// Which attempt of its mission this is; stored in the records.
    pub attempt: u32,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, as seen by the runner.
    pub cwd: String,
    /// Name of the output file in the run's directory; see [`valid_output_name`].
    pub stdout_name: String,
    /// Whether stdin is a pipe fed by [`Request::WriteStdin`]; otherwise it is empty.
    pub stdin_pipe: bool,
    /// How many cgroups the child joins.
    pub join_fds: u32,
    /// Whether a descriptor to list the cgroup's processes follows.
    pub has_procs_fd: bool,
    /// What to write into the control file before killing; none: there is no such descriptor.
    pub stop_payload: Option<String>,
    /// What else is special about it.
    #[serde(default)]
    pub options: RunOptions,
}

/// What not every run needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// What its stdin, stdout and stderr are.
    pub output: Output,
    /// Whether a descriptor follows whose hang-up ends the run ([`LEASE_GRACE_MS`], reason [`REASON_LEASE`]). It is the
    /// reading end of a pipe: when nobody holds the writing end any more, nobody wants the run any more.
    pub has_lease_fd: bool,
    /// Ends the run with reason [`REASON_OUTPUT`] some time after its output became longer than this.
    pub max_output_bytes: Option<u64>,
}

/// What a run's stdin, stdout and stderr are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Output {
    /// Two files, one for each.
    #[default]
    Separate,
    /// One file for both, in the order of writing; stderr's own stays empty.
    Merged,
    /// A terminal of this size, which is also its stdin and its controlling terminal. What it shows is kept as it
    /// came, escape sequences included. The end of its stdin is the key that means it, `^D`.
    Terminal {
        /// Height in lines.
        rows: u16,
        /// Width in columns.
        cols: u16,
    },
}

/// What the runner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "re", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Hello`].
    Hello {
        /// [`PROTOCOL_VERSION`] of the runner.
        version: u32,
        /// Runs that it knows, ended ones too.
        runs: Vec<RunState>,
    },
    /// State of a run after the request.
    Run(RunState),
    /// The run is not known here.
    UnknownRun {
        /// Which run.
        run_id: String,
    },
    /// The request could not be carried out.
    Failed {
        /// Stable word: `spawn` (no process could be made), `records` (its files could not be written, or tell of a
        /// run that another runner began and did not end), `protocol`, `stdin_full`, `stdin_gap`, `stdin_closed`,
        /// `stopping` (the runner is shutting down).
        code: String,
        /// What happened.
        message: String,
    },
    /// Done, nothing to tell.
    Ok,
}

/// One run as the runner knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Its id.
    pub run_id: String,
    /// Process id in the runner's own namespace; none after the end.
    pub pid: Option<i32>,
    /// Bytes of stdin accepted so far.
    pub stdin_accepted: u64,
    /// Set when it ended.
    pub exit: Option<ExitRecord>,
}

/// Content of `exit.json`: the only proof that a run ended. Written to a temporary name, synced, then renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Its id.
    pub run_id: String,
    /// Its attempt.
    pub attempt: u32,
    /// Exit status, when it exited.
    pub exit_code: Option<i32>,
    /// Signal, when a signal ended it.
    pub signal: Option<i32>,
    /// Why the runner ended it (`Stop.reason`), or `spawn: …` when it never started.
    pub reason: Option<String>,
    /// Unix time of the start in milliseconds.
    pub started_at_ms: u64,
    /// Unix time of the end in milliseconds: that of the start and how long it ran, whoever sets the clock meanwhile.
    pub ended_at_ms: u64,
    /// Length of stdout when everything of the run was gone. The output is not synced: after a power loss a file may be
    /// shorter than this says.
    pub stdout_bytes: u64,
    /// Length of stderr likewise.
    pub stderr_bytes: u64,
    /// Processes of the run that outlived its first process and were killed.
    pub leftovers_killed: u32,
}

/// Content of `metadata.json`: written before the process exists. No environment: it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMetadata {
    /// Its id.
    pub run_id: String,
    /// Its attempt.
    pub attempt: u32,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// Unix time in milliseconds.
    pub started_at_ms: u64,
    /// As in its [`StartRun`].
    #[serde(default)]
    pub options: RunOptions,
}

/// Whether `id` can name a run: 1 to 128 of `A-Z a-z 0-9 _ -`.
pub fn valid_run_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whether `name` can name a run's output file: like a run id with dots inside, and no name of another record.
pub fn valid_output_name(name: &str) -> bool {
    let reserved = [EXIT_FILE, METADATA_FILE, STDERR_FILE].contains(&name) || name.ends_with(".tmp");
    (1..=128).contains(&name.len())
        && !reserved
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_directory() {
        for bad in ["", "..", ".", "a/b", "a b", "é", "a\0", &"x".repeat(129)] {
            assert!(!valid_run_id(bad), "{bad:?}");
            assert!(!valid_output_name(bad), "{bad:?}");
        }
        assert!(valid_run_id("018f-Ab_9") && !valid_run_id("a.b"));
        assert!(valid_output_name("stdout.ndjson"));
        for reserved in ["exit.json", "exit.json.tmp", "metadata.json", "stderr.log"] {
            assert!(!valid_output_name(reserved), "{reserved}");
        }
    }
}
