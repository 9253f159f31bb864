//! What goes into a completion record as the worker's own word, and its short forms.

use super::{Outcome, ReportedBy, outcome_from_text};
use crate::api::Reported;
use crate::harness::BackendKind;
use crate::policy::{cut_middle, head_at};

/// Last message of a record, in bytes.
pub const LAST_MESSAGE_BYTES: usize = 2048;
/// Summary of an attention event, in characters.
pub const SUMMARY_CHARS: usize = 200;

/// A report that came by the tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolReport {
    /// What the worker says.
    pub outcome: Outcome,
    /// In its words.
    pub summary: String,
    /// What is missing, for `Blocked`.
    pub blocker: Option<String>,
}

/// The worker's word: by the tool if it called it, else by a line of its last message. A command has no word:
/// what it prints is data.
pub fn reported(tool: Option<ToolReport>, last_message: &str, kind: BackendKind) -> Reported {
    if let Some(ToolReport { outcome, summary, blocker }) = tool {
        return Reported { outcome: Some(outcome), summary, by: ReportedBy::Tool, blocker };
    }
    let said = match kind {
        BackendKind::Agent => outcome_from_text(last_message),
        BackendKind::Command => None,
    };
    match said {
        None => Reported { outcome: None, summary: String::new(), by: ReportedBy::None, blocker: None },
        Some((outcome, text)) => Reported {
            outcome: Some(outcome),
            blocker: (outcome == Outcome::Blocked && !text.is_empty()).then(|| text.clone()),
            summary: text,
            by: ReportedBy::Text,
        },
    }
}

/// The last message as a record shows it.
pub fn last_message(text: &str) -> String {
    cut_middle(text, LAST_MESSAGE_BYTES)
}

/// One line of at most 200 characters: the first of these texts that says something.
pub fn short_summary<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let first = texts.into_iter().find(|text| !text.trim().is_empty()).unwrap_or_default();
    // Four bytes a character at most, and runs of blanks shrink: this much is always enough to look at.
    let line =
        head_at(first.trim_start(), 16 * SUMMARY_CHARS).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SUMMARY_CHARS) {
        None => line,
        Some(_) => {
            let end = line.char_indices().nth(SUMMARY_CHARS - 1).map_or(line.len(), |(at, _)| at);
            format!("{}…", &line[..end])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_wins_over_the_text_and_a_command_has_no_word() {
        let tool = ToolReport { outcome: Outcome::Done, summary: "s".to_owned(), blocker: None };
        let by_tool = reported(Some(tool), "BLOCKED: x", BackendKind::Agent);
        assert_eq!((by_tool.outcome, by_tool.by), (Some(Outcome::Done), ReportedBy::Tool));
        let by_text = reported(None, "BLOCKED: x", BackendKind::Agent);
        assert_eq!((by_text.by, by_text.blocker.as_deref()), (ReportedBy::Text, Some("x")));
        for (text, kind) in [("BLOCKED: x", BackendKind::Command), ("I think I am done", BackendKind::Agent)]
        {
            let nothing = reported(None, text, kind);
            assert_eq!((nothing.outcome, nothing.by), (None, ReportedBy::None));
        }
    }

    #[test]
    fn a_summary_is_one_line_of_at_most_200_characters() {
        assert_eq!(short_summary(["  ", "two\n lines "]), "two lines");
        assert_eq!(short_summary([]), "");
        let long = short_summary(["ä".repeat(300).as_str()]);
        assert_eq!(long.chars().count(), SUMMARY_CHARS);
        assert!(long.ends_with('…'));
        assert_eq!(short_summary(["ä".repeat(200).as_str()]), "ä".repeat(200));
    }
}
