//! The worker's own word, where it could not call the tool: one line of its last message, never its prose.

use super::Outcome;

const WORDS: [(&str, Outcome); 3] =
    [("DONE", Outcome::Done), ("BLOCKED", Outcome::Blocked), ("NOT_FEASIBLE", Outcome::NotFeasible)];

/// The outcome and the text after its colon. Counts: a line that is exactly `DONE`, `BLOCKED` or `NOT_FEASIBLE`,
/// optionally followed by `:` and text, spaces at either end aside. The last such line decides. Lines inside a
/// fenced code block do not count: they quote something.
pub fn outcome_from_text(message: &str) -> Option<(Outcome, String)> {
    let mut fence = None;
    let mut found = None;
    for line in message.lines() {
        match (fence, fence_of(line)) {
            (None, Some(opened)) => fence = Some(opened),
            (Some(open), _) => {
                if closes(line, open) {
                    fence = None;
                }
            }
            (None, None) => found = parse_line(line).or(found),
        }
    }
    found
}

fn parse_line(line: &str) -> Option<(Outcome, String)> {
    let line = line.trim();
    let (word, text) = line.split_once(':').unwrap_or((line, ""));
    let (_, outcome) = WORDS.iter().find(|(name, _)| *name == word)?;
    Some((*outcome, text.trim().to_owned()))
}

/// Character and length of the fence that this line opens.
fn fence_of(line: &str) -> Option<(char, usize)> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    // ```inline``` on one line is no fence.
    let inline = mark == '`' && line[length..].contains('`');
    (length >= 3 && !inline).then_some((mark, length))
}

/// A closing fence is of the same character, at least as long, and alone on its line.
fn closes(line: &str, (mark, length): (char, usize)) -> bool {
    let line = line.trim();
    line.len() >= length && line.chars().all(|c| c == mark)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_an_exact_line_counts_and_the_last_one_decides() {
        use Outcome::{Blocked, Done, NotFeasible};
        let table = [
            ("DONE", Some((Done, ""))),
            ("All good.\n\n  DONE  \n", Some((Done, ""))),
            ("DONE: fixed: twice", Some((Done, "fixed: twice"))),
            ("DONE:", Some((Done, ""))),
            ("BLOCKED: no network", Some((Blocked, "no network"))),
            ("NOT_FEASIBLE:needs a GPU\r\n", Some((NotFeasible, "needs a GPU"))),
            ("BLOCKED: first\nDONE", Some((Done, ""))),
            ("DONE\nBLOCKED: after all\nbye", Some((Blocked, "after all"))),
            ("```\nDONE\n```", None),
            ("~~~text\nDONE\n~~~\nBLOCKED", Some((Blocked, ""))),
            ("````\n```\nDONE\n```\n````", None),
            ("```\nDONE", None),
            ("```x``` y\nDONE", Some((Done, ""))),
            ("I am DONE", None),
            ("DONE.", None),
            ("DONE :", None),
            ("Done", None),
            ("done: x", None),
            ("**DONE**", None),
            ("- DONE", None),
            ("NOT FEASIBLE", None),
            ("DONE - all", None),
            ("UNDONE", None),
            ("", None),
        ];
        for (text, wanted) in table {
            let wanted = wanted.map(|(outcome, text)| (outcome, text.to_owned()));
            assert_eq!(outcome_from_text(text), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_last_plain_line_decides_whatever_unfenced_text_precedes(
            before in "[^`~]{0,200}", which in 0usize..3, after in "[a-z ]{0,20}",
        ) {
            let (word, outcome) = WORDS[which];
            let text = format!("{before}\n{word}: {after}");
            prop_assert_eq!(outcome_from_text(&text), Some((outcome, after.trim().to_owned())));
        }

        #[test]
        fn text_without_the_words_never_counts(text in "[a-z`~: \n]{0,300}") {
            prop_assert_eq!(outcome_from_text(&text), None);
        }

        #[test]
        fn anything_can_be_read(text in any::<String>()) {
            let _ = outcome_from_text(&text);
        }
    }
}
