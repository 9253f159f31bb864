//! The table in the documentation is what is tested.

use crate::agents::{BEHAVIOURS, Behaviour, SUBJECTS, Subject};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/harnesses.md");
const BEGIN: &str = "<!-- the table of tests/e2e_harness -->\n";
const END: &str = "<!-- its end -->\n";

#[test]
fn every_behaviour_is_held_by_a_test_and_has_its_words() {
    for (behaviour, words) in BEHAVIOURS {
        assert!(crate::HELD.contains(behaviour), "{behaviour:?} is held by no test");
        assert!(!words.is_empty());
    }
    for behaviour in crate::HELD {
        assert_eq!(BEHAVIOURS.iter().filter(|(other, _)| other == behaviour).count(), 1, "{behaviour:?}");
    }
    for subject in SUBJECTS {
        for (behaviour, why) in subject.differences {
            let stated = subject.differences.iter().filter(|(other, _)| other == behaviour).count();
            assert!(stated == 1 && !why.is_empty(), "{}: {behaviour:?}", subject.id);
        }
    }
}

#[test]
fn the_documented_table_is_what_is_tested() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, rest) = page.split_once(BEGIN).expect("the table begins");
    let (table, _) = rest.split_once(END).expect("the table ends");
    let wanted = table_of(SUBJECTS);
    assert!(table == wanted, "docs/harnesses.md should say:\n{wanted}");
}

/// A row for each behaviour, a column for each agent; what is otherwise is numbered and said below.
fn table_of(subjects: &[&Subject]) -> String {
    let titles: Vec<_> = subjects.iter().map(|subject| subject.title).collect();
    let mut table = format!("| | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    let mut notes = Vec::new();
    for (behaviour, words) in BEHAVIOURS {
        let cells: Vec<_> = subjects.iter().map(|subject| cell(subject, *behaviour, &mut notes)).collect();
        table.push_str(&format!("| {words} | {} |\n", cells.join(" | ")));
    }
    for (at, note) in notes.iter().enumerate() {
        table.push_str(&format!("{}{}. {note}\n", if at == 0 { "\n" } else { "" }, at + 1));
    }
    table
}

fn cell(subject: &Subject, behaviour: Behaviour, notes: &mut Vec<String>) -> String {
    let Some((_, why)) = subject.differences.iter().find(|(other, _)| *other == behaviour) else {
        return "yes".to_owned();
    };
    let note = format!("{}: {why}", subject.title);
    let known = notes.iter().position(|other| *other == note);
    let at = known.unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!("({})", at + 1)
}
