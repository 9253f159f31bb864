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
/// Version of these words; a runner answers requests of its own version and older ones.
pub const PROTOCOL_VERSION: u32 = 1;

/// Name of the record that proves how a run ended.
pub const EXIT_FILE: &str = "exit.json";
/// Name of the record written before a run starts.
pub const METADATA_FILE: &str = "metadata.json";
/// Name of the error output.
pub const STDERR_FILE: &str = "stderr.log";

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
/// Descriptors, in order: the run's directory (open for reading, created by the daemon), then `join_fds` descriptors of
/// `cgroup.procs` files into which the child writes `0` before it executes, then, when `has_procs_fd`, one
/// `cgroup.procs` open for reading (to find what is left at the end), then, when `stop_payload` is set, one control
/// file that gets `stop_payload` before the killing (`pids.max` <- `0` on v1, `cgroup.kill` <- `1` on v2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRun {
    /// Unique id; also the name of its directory.
    pub run_id: String,
    /// Which attempt of its mission this is; stored in the records.
    pub attempt: u32,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, as seen by the runner.
    pub cwd: String,
    /// Name of the output file in the run's directory.
    pub stdout_name: String,
    /// Whether stdin is a pipe fed by [`Request::WriteStdin`]; otherwise it is empty.
    pub stdin_pipe: bool,
    /// How many cgroups the child joins.
    pub join_fds: u32,
    /// Whether a descriptor to list the cgroup's processes follows.
    pub has_procs_fd: bool,
    /// What to write into the last descriptor before killing; none: there is no such descriptor.
    pub stop_payload: Option<String>,
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
        /// Stable word: `spawn`, `records`, `protocol`, `stdin_full`, `stdin_gap`.
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
    /// Unix time of the end in milliseconds.
    pub ended_at_ms: u64,
    /// Length of stdout when everything of the run was gone.
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
}
