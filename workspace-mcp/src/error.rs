//! What can go wrong, as the model reads it: a stable code, a sentence, the field at fault and what to do next.

use std::io;

use rustix::io::Errno;
use serde::Serialize;

/// Result of everything that a tool does.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// Stable names of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A value is out of its range, or two do not fit together.
    InvalidArgument,
    /// A field that the tool does not have.
    UnknownField,
    /// A path leads out of the workspace.
    PathOutsideWorkspace,
    /// There is no such file or directory.
    NotFound,
    /// Something is there already.
    AlreadyExists,
    /// It is a directory, a pipe or a device.
    NotAFile,
    /// A part of the path is no directory.
    NotADirectory,
    /// More than is taken or given at once.
    TooLarge,
    /// The text to replace is not in the file.
    TextNotFound,
    /// The text to replace is there more than once.
    TextNotUnique,
    /// Somebody else changed the file in the meantime.
    ChangedMeanwhile,
    /// The system does not let this user do it.
    PermissionDenied,
    /// The disk or a quota is full.
    DiskFull,
    /// The file system is read-only.
    ReadOnly,
    /// A regular expression or glob that cannot be used.
    BadPattern,
    /// No repository holds the path.
    NotARepository,
    /// A name that means no commit.
    UnknownRevision,
    /// A repository cannot be read.
    GitFailed,
    /// It leads to this machine or a network of its own.
    AddressRefused,
    /// A page could not be fetched or read.
    FetchFailed,
    /// No job has this id.
    UnknownJob,
    /// The job has ended.
    JobEnded,
    /// As many jobs run as may.
    TooManyJobs,
    /// The command could not be started.
    NotStarted,
    /// Jobs cannot be kept in this workspace.
    JobsUnavailable,
    /// It took longer than it may.
    TimedOut,
    /// The client took the call back.
    Cancelled,
    /// The system reported another failure.
    IoError,
    /// A mistake of this server.
    Internal,
}

/// A failure of a tool.
pub type Problem = sandboxed_mcp::Problem<Code>;

impl sandboxed_mcp::Code for Code {
    const INVALID_ARGUMENT: Self = Self::InvalidArgument;
    const UNKNOWN_FIELD: Self = Self::UnknownField;
    const CANCELLED: Self = Self::Cancelled;
    const INTERNAL: Self = Self::Internal;

    fn hint(self) -> &'static str {
        usual_hint(self)
    }

    fn of(error: &io::Error) -> Self {
        Errno::from_io_error(error).map_or(Self::IoError, code_of)
    }

    fn words(error: &io::Error) -> String {
        match Errno::from_io_error(error) {
            Some(Errno::XDEV) => "it leads out of the workspace".to_owned(),
            _ => error.to_string(),
        }
    }
}

fn code_of(errno: Errno) -> Code {
    match errno {
        Errno::XDEV => Code::PathOutsideWorkspace,
        Errno::NOENT => Code::NotFound,
        Errno::EXIST | Errno::NOTEMPTY => Code::AlreadyExists,
        Errno::ISDIR => Code::NotAFile,
        Errno::NOTDIR => Code::NotADirectory,
        Errno::ACCESS | Errno::PERM => Code::PermissionDenied,
        Errno::NOSPC | Errno::DQUOT => Code::DiskFull,
        Errno::ROFS => Code::ReadOnly,
        Errno::NAMETOOLONG | Errno::INVAL => Code::InvalidArgument,
        _ => Code::IoError,
    }
}

const fn usual_hint(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument | Code::UnknownField => "see the tool's schema and call again",
        Code::PathOutsideWorkspace => "give a path inside of the workspace; list_files shows what is there",
        Code::NotFound => "list_files shows what is there",
        Code::AlreadyExists => "choose another name, or say that it may be replaced",
        Code::NotAFile => "list_files shows what a directory holds",
        Code::NotADirectory => "list_files shows which parts of the path are there",
        Code::TooLarge => "ask for less at a time",
        Code::TextNotFound => "read_file the place and copy the text exactly, white space included",
        Code::TextNotUnique => "add neighbouring lines to old_string, or set replace_all",
        Code::ChangedMeanwhile => "read_file it again, then repeat the edit",
        Code::PermissionDenied => "look at owner and mode with run_command `ls -l`",
        Code::DiskFull => "make room first, then call again",
        Code::ReadOnly => "write to another place",
        Code::BadPattern => "mend the pattern; literal=true takes it as plain text",
        Code::NotARepository => "name a directory of a repository; list_files shows what is there",
        Code::UnknownRevision => "git_log shows commits, branches and tags",
        Code::GitFailed => "look with git and run_command",
        Code::AddressRefused => {
            "only the public internet is fetched; use curl and run_command for what is local"
        }
        Code::FetchFailed => "check the address; the message has what was told",
        Code::UnknownJob => "list_jobs shows those that are known",
        Code::JobEnded => "read_output has what it wrote; start it again with run_command",
        Code::TooManyJobs => "end some with signal_job; list_jobs shows them",
        Code::NotStarted => "check the command and cwd",
        Code::JobsUnavailable => "start workspace-mcp with --state-dir, a directory that can be written",
        Code::TimedOut => "narrow it down: a path, a glob or a smaller limit",
        Code::Cancelled => "call again if it is still wanted",
        Code::IoError => "the message has what the system said",
        Code::Internal => "this is a mistake of workspace-mcp; try another way",
    }
}
