//! The text that tells a worker who it is and how its task ends.

use crate::api::SharedFolders;

/// What the instructions are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InstructionParts<'a> {
    /// The task's title.
    pub title: &'a str,
    /// What must be true at the end.
    pub acceptance_criteria: &'a [String],
    /// What the platform runs to check the work.
    pub verification_command: Option<&'a str>,
    /// Branch of the worker's own worktree.
    pub branch: Option<&'a str>,
    /// The folders that it shares with people, where it has them.
    pub shared: Option<&'a SharedFolders>,
    /// Name of the MCP server with `report_outcome`, where the harness has one.
    pub mcp_server: Option<&'a str>,
}

/// Markdown for the harness's context file.
pub fn worker_instructions(parts: &InstructionParts<'_>) -> String {
    let mut text = format!(
        "# You are a worker\n\nYou work alone on one task, \"{}\", inside a sandbox of your own. The first \
         message is the whole task. Work in the current directory and do not wait for answers you do not need.\n",
        one_line(parts.title)
    );
    if let Some(branch) = parts.branch {
        text.push_str(&format!(
            "\nThe current directory is a git worktree on branch `{branch}`. Commit your work on this branch; \
             do not switch to another one.\n"
        ));
    }
    push_shared(&mut text, parts.shared);
    push_criteria(&mut text, parts.acceptance_criteria);
    push_verification(&mut text, parts.verification_command);
    push_ending(&mut text, parts.mcp_server);
    text
}

fn push_shared(text: &mut String, shared: Option<&SharedFolders>) {
    let Some(shared) = shared else { return };
    text.push_str(&format!(
        "\n`{}` holds files that people share with all workers, for reading. `{}` is for exchanging files with \
         people and with the other workers of this workspace; its space is limited, so keep your work out of it.\n",
        shared.global, shared.inbox
    ));
}

fn push_criteria(text: &mut String, criteria: &[String]) {
    if criteria.is_empty() {
        return;
    }
    text.push_str("\n## Acceptance criteria\n\n");
    for criterion in criteria {
        text.push_str(&format!("- {}\n", criterion.trim().replace('\n', "\n  ")));
    }
}

fn push_verification(text: &mut String, command: Option<&str>) {
    let Some(command) = command else { return };
    let fence = fence_for(command);
    text.push_str(&format!(
        "\n## Verification\n\nWhen you say that you are done, the platform runs this in your directory; \
         it must exit with status 0. Run it yourself first.\n\n{fence}sh\n{}\n{fence}\n",
        command.trim_end()
    ));
}

fn push_ending(text: &mut String, mcp_server: Option<&str>) {
    text.push_str("\n## How to end\n\n");
    if let Some(server) = mcp_server {
        text.push_str(&format!(
            "Call the tool `report_outcome` of the MCP server `{server}` once, as the last thing you do: it ends \
             your task. Its outcome is `DONE`, `BLOCKED` (say what is missing) or `NOT_FEASIBLE` (say why). If \
             the tool cannot be called, end"
        ));
    } else {
        text.push_str("End");
    }
    text.push_str(
        " your last message with one line of its own: `DONE`, `BLOCKED: what is missing` or \
         `NOT_FEASIBLE: why`. Say `DONE` only when every criterion is met.\n",
    );
}

/// A fence longer than any run of backticks inside, so that the command cannot close it.
fn fence_for(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(3.max(longest + 1))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_title_criteria_verification_branch_and_ending() {
        let criteria = ["tests pass".to_owned(), "two\nlines".to_owned()];
        let text = worker_instructions(&InstructionParts {
            title: "Fix\nit",
            acceptance_criteria: &criteria,
            verification_command: Some("make test"),
            branch: Some("task/fix"),
            mcp_server: Some("orchestrator"),
            ..InstructionParts::default()
        });
        for wanted in [
            "\"Fix it\"",
            "- tests pass\n",
            "- two\n  lines\n",
            "```sh\nmake test\n```",
            "`task/fix`",
            "`orchestrator`",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing in {text}");
        }
        assert!(text.contains("`NOT_FEASIBLE: why`"));
    }

    #[test]
    fn shared_folders_are_named_by_their_places() {
        let shared = SharedFolders { global: "/mnt/global".to_owned(), inbox: "/mnt/inbox".to_owned() };
        let parts = InstructionParts { shared: Some(&shared), ..InstructionParts::default() };
        let text = worker_instructions(&parts);
        assert!(text.contains("`/mnt/global` holds") && text.contains("`/mnt/inbox` is"), "{text}");
        assert!(!worker_instructions(&InstructionParts::default()).contains("/mnt"));
    }

    #[test]
    fn absent_parts_leave_no_heading() {
        let text = worker_instructions(&InstructionParts { title: "t", ..InstructionParts::default() });
        assert!(
            !text.contains("Acceptance")
                && !text.contains("Verification")
                && !text.contains("report_outcome")
        );
        assert!(text.contains("End your last message"));
    }

    #[test]
    fn a_command_cannot_close_its_fence() {
        let text = worker_instructions(&InstructionParts {
            verification_command: Some("echo '```'"),
            ..InstructionParts::default()
        });
        assert!(text.contains("````sh\necho '```'\n````\n"));
    }
}
