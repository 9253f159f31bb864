//! Completion records in a few lines, and the table at the end.

use sandboxed_domain::api::{CompletionRecord, VerificationView};

use crate::cli::out;

/// Characters of a worker's own words.
const SHOWN: usize = 90;

/// One record, compactly.
pub(super) fn record(name: &str, record: &CompletionRecord) -> String {
    let mark = if passed(record) { "✔" } else { "✘" };
    let reason = reason(record);
    let mut lines = vec![format!(
        "{mark} {name}: {}{} after {:.1} s, {} turn{}",
        record.status.as_str(),
        if reason.is_empty() { String::new() } else { format!(" ({reason})") },
        record.seconds,
        record.turns,
        if record.turns == 1 { "" } else { "s" },
    )];
    if let Some(outcome) = &record.reported.outcome {
        let said = serde_json::to_value(outcome).ok().and_then(|v| v.as_str().map(str::to_owned));
        let summary = out::one_line(&record.reported.summary, SHOWN);
        lines.push(format!("    it says    {}: {summary}", said.unwrap_or_default()));
    }
    if let Some(check) = &record.verification {
        lines.push(format!("    verified   {} -> {}", out::one_line(&check.command, SHOWN), verdict(check)));
    }
    if let Some(git) = &record.git {
        lines.push(format!(
            "    git        {}: {} commits, {} files, +{} -{}, {} dirty, {} untracked",
            git.branch.as_deref().unwrap_or("(no branch)"),
            git.commits_ahead,
            git.files_changed,
            git.insertions,
            git.deletions,
            git.dirty,
            git.untracked
        ));
    }
    if let Some(usd) = record.cost.usd {
        let tokens = (record.cost.input_tokens, record.cost.output_tokens);
        lines.push(format!("    cost       ${usd:.4}, {} tokens in, {} out", tokens.0, tokens.1));
    }
    for error in [&record.error, &record.git_error].into_iter().flatten() {
        lines.push(format!("    error      {}", out::one_line(error, 200)));
    }
    lines.join("\n")
}

/// Whether the platform's own check passed.
pub(super) fn passed(record: &CompletionRecord) -> bool {
    record.verification.as_ref().is_some_and(|check| check.exit_code == Some(0))
        && record.status == sandboxed_domain::mission::MissionStatus::Completed
}

/// The terminal reason as a word; empty while there is none.
pub(super) fn reason(record: &CompletionRecord) -> String {
    record.terminal_reason.map(|reason| reason.as_str()).unwrap_or_default()
}

fn verdict(check: &VerificationView) -> String {
    match check.exit_code {
        Some(0) => "passed".to_owned(),
        Some(code) => format!("failed ({code})"),
        None => "ended by a signal or a limit".to_owned(),
    }
}

/// One worker of the table.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) record: &'a CompletionRecord,
    /// How its branch was merged, or why not.
    pub(super) merged: String,
}

/// The table at the end.
pub(super) fn table(rows: &[Row<'_>]) -> String {
    let heading = ["WORKER", "STATUS", "REASON", "VERIFICATION", "COMMITS", "FILES", "SECONDS", "MERGED"]
        .map(str::to_owned);
    let row = |row: &Row<'_>| {
        let count = |n: Option<u32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let git = row.record.git.as_ref();
        vec![
            row.name.to_owned(),
            row.record.status.as_str().to_owned(),
            reason(row.record),
            row.record.verification.as_ref().map_or_else(|| "-".to_owned(), verdict),
            count(git.map(|git| git.commits_ahead)),
            count(git.map(|git| git.files_changed)),
            format!("{:.1}", row.record.seconds),
            row.merged.clone(),
        ]
    };
    out::table(&std::iter::once(heading.to_vec()).chain(rows.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(exit_code: i32, status: &str, reason: &str) -> CompletionRecord {
        serde_json::from_value(json!({
            "worker_id": "00000000-0000-0000-0000-000000000001", "task_key": "words", "title": "t",
            "status": status, "terminal_reason": reason,
            "reported": {"outcome": "DONE", "summary": "all\nwell", "by": "text"},
            "verification": {"command": "make check", "exit_code": exit_code, "seconds": 0.1, "output_tail": ""},
            "git": {"branch": "d/words", "base": null, "head": "abc", "commits_ahead": 1, "files_changed": 2,
                    "insertions": 3, "deletions": 4, "dirty": 0, "untracked": 0, "pushed": null},
            "cost": {"usd": null, "input_tokens": 0, "output_tokens": 0, "source": "none"},
            "seconds": 2.34, "turns": 1, "last_message": "", "working_directory": "/w", "log_paths": null,
            "exit_code": 0, "signal": null
        }))
        .unwrap()
    }

    #[test]
    fn a_record_tells_what_was_said_and_what_was_found() {
        let text = record("words", &sample(1, "failed", "verification_failed"));
        assert_eq!(
            text,
            "✘ words: failed (verification_failed) after 2.3 s, 1 turn\n    it says    DONE: all well\n    \
             verified   make check -> failed (1)\n    git        d/words: 1 commits, 2 files, +3 -4, 0 dirty, 0 untracked"
        );
        assert!(record("words", &sample(0, "completed", "done")).starts_with('✔'));
    }

    #[test]
    fn the_table_has_a_line_for_each_worker() {
        let (good, bad) = (sample(0, "completed", "done"), sample(1, "failed", "verification_failed"));
        let row = |name, record, merged: &str| Row { name, record, merged: merged.to_owned() };
        assert_eq!(
            table(&[row("words", &good, "merged"), row("answer", &bad, "no")]),
            "WORKER  STATUS     REASON               VERIFICATION  COMMITS  FILES  SECONDS  MERGED\n\
             words   completed  done                 passed        1        2      2.3      merged\n\
             answer  failed     verification_failed  failed (1)    1        2      2.3      no\n"
        );
    }
}
