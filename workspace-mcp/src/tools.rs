//! The tools as clients see them: name, description, hints and schemas. Those whose answer is text have no output
//! schema: structured content would replace the text in the clients.

use rmcp::model::Tool;
use sandboxed_mcp::tools::{Effect, data, text};

use crate::fetch::FetchParams;
use crate::files::{
    DeleteParams, DeleteResponse, EditParams, EditResponse, ListParams, MoveParams, MoveResponse, ReadParams,
    SearchParams, WriteParams, WriteResponse,
};
use crate::git::{DiffParams, LogParams, StatusParams};
use crate::jobs::{
    InputParams, JobView, ListJobsParams, ListJobsResponse, OutputParams, RunParams, SignalParams,
};

/// What a client's model reads first. Codex shows about the first 250 characters.
pub const INSTRUCTIONS: &str = "\
Files, commands and git of one workspace; paths are relative to it. list_files and search_files find, read_file reads, \
edit_file changes, git_diff verifies. run_command waits yield_seconds, then it is a job: read_output, send_input, signal_job.

Prefer edit_file to writing a file anew. Answers are bounded: what is cut says how to go on (offset) or where the whole \
is, as a path in the workspace. Deleted files are in .workspace-mcp/trash for 14 days. A command that runs on, such as a \
server, is a job: start it with a small yield_seconds, not with `&`. Jobs end with this session unless durable. A failure \
has a code, a message and a hint that says what to call next.";

/// The list of tools.
///
/// # Errors
/// When a schema cannot be made.
pub fn list() -> Result<Vec<Tool>, String> {
    let mut tools = files()?;
    tools.extend(git()?);
    tools.push(text::<FetchParams>(
        "fetch_url",
        "Fetch a web page",
        "Fetches an http or https address of the public internet and returns HTML as readable text, other text and \
         pictures as they are; what is long or binary is kept in a file. With path it is saved there. Never reaches \
         this machine or private networks.",
        Effect::Fetches,
    )?);
    tools.extend(jobs()?);
    Ok(tools)
}

fn files() -> Result<Vec<Tool>, String> {
    use Effect::{Changes, Reads};
    Ok(vec![
        text::<ReadParams>(
            "read_file",
            "Read a file",
            "Reads a text file from line offset on (negative: from the end), at most limit lines and 30 kB; says how to \
             go on. Shows PNG, JPEG, GIF and WebP pictures. Of other binary files it tells size and first bytes.",
            Reads,
        )?,
        data::<WriteParams, WriteResponse>(
            "write_file",
            "Write a file",
            "Writes a whole file at once (readers never see half of it), or with mode=append adds to its end. Makes \
             missing directories. To change parts of a file use edit_file.",
            Changes,
        )?,
        data::<EditParams, EditResponse>(
            "edit_file",
            "Edit a file",
            "Replaces exact texts in a file: each old_string must be there once, or replace_all is set. Several edits are \
             made in order, all or none. Says which lines when a text is missing or not unique.",
            Changes,
        )?,
        text::<ListParams>(
            "list_files",
            "List files",
            "Without pattern: a tree of a directory, as deep as fits into limit lines, with sizes. With pattern: the paths \
             that match a glob. Leaves out .git and what .gitignore excludes.",
            Reads,
        )?,
        text::<SearchParams>(
            "search_files",
            "Search in files",
            "Finds lines that match a regular expression, as ripgrep does, grouped by file with line numbers. Leaves out \
             binary files and what .gitignore excludes. mode=files or count tells only where.",
            Reads,
        )?,
        data::<MoveParams, MoveResponse>(
            "move_file",
            "Move a file",
            "Moves or renames a file or directory; also takes things back from the trash. Fails when something is at the \
             new path, unless overwrite is set.",
            Changes,
        )?,
        data::<DeleteParams, DeleteResponse>(
            "delete_file",
            "Delete a file",
            "Moves a file or a whole directory into the workspace's trash and says where it is there; with permanently \
             it is gone.",
            Changes,
        )?,
    ])
}

fn git() -> Result<Vec<Tool>, String> {
    use Effect::Reads;
    Ok(vec![
        text::<StatusParams>(
            "git_status",
            "Status of a repository",
            "Branch, commit, ahead and behind, what is staged, changed and untracked (letters as in git status --short), and \
             the repository's worktrees. Reads only; to change something use git with run_command.",
            Reads,
        )?,
        text::<DiffParams>(
            "git_diff",
            "Difference",
            "What differs between a commit (default HEAD) and the files, what is staged, or another commit, as unified \
             text in pages. summary=true tells only files with counts. Untracked files are in git_status.",
            Reads,
        )?,
        text::<LogParams>(
            "git_log",
            "Commits",
            "Commits, newest first: id, time, author, branches and tags, first line of the message; of a path only those \
             that changed it. messages=true shows whole messages.",
            Reads,
        )?,
    ])
}

fn jobs() -> Result<Vec<Tool>, String> {
    use Effect::{Changes, Reads, Runs};
    Ok(vec![
        text::<RunParams>(
            "run_command",
            "Run a command",
            "Runs a shell command and returns output and exit code; a failed command is an error. If it has not ended \
             after yield_seconds it goes on as a job, whose id is returned. Long output is cut in the middle; the whole \
             is in a file.",
            Runs,
        )?,
        text::<OutputParams>(
            "read_output",
            "Read a job's output",
            "The end of a job's output, or from byte offset on; says how the job is. Waits up to wait_seconds for its end \
             or for new output. view=screen shows a terminal as it looks now. Never sleep or poll instead.",
            Reads,
        )?,
        text::<InputParams>(
            "send_input",
            "Send input to a job",
            "Types text into a job started with input=pipe or terminal, waits until output pauses (at most wait_seconds) \
             and returns what was written since, or the screen. A line needs its \\n.",
            Runs,
        )?,
        data::<SignalParams, JobView>(
            "signal_job",
            "Signal a job",
            "Ends a job (default: TERM, and KILL after 5 s), or sends one signal to its process group. Returns how the job \
             is then.",
            Changes,
        )?,
        data::<ListJobsParams, ListJobsResponse>(
            "list_jobs",
            "List jobs",
            "Jobs of this workspace, newest first, those of earlier sessions too: command, status, exit code, file with \
             the output. The newest 200 ended ones are kept.",
            Reads,
        )?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_short_and_hinted_and_the_workflow_stands_first() {
        assert_eq!(
            sandboxed_mcp::tools::faults(&list().unwrap(), INSTRUCTIONS, 16, &["yield_seconds"]),
            [""; 0]
        );
    }
}
