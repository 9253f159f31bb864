//! The list of isolation tests in docs/isolation.md against the tests that are there.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Numbers that the list has, each once.
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=36;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Rows of the table: number, and the last column.
fn rows(text: &str) -> Vec<(u32, String)> {
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
    let table = text.lines().filter(|line| line.starts_with('|')).map(cells);
    table.filter_map(|cells| Some((cells[0].parse().ok()?, cells.last()?.clone()))).collect()
}

/// What stands in backquotes: `path::test` of one or several.
fn named(cell: &str) -> Vec<(String, String)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|word| word.rsplit_once("::").map(|(file, test)| (file.to_owned(), test.to_owned())))
        .collect()
}

#[test]
fn every_number_has_its_row_with_tests_that_exist_or_the_reason_why_there_are_none() {
    let text = fs::read_to_string(top().join("docs/isolation.md")).unwrap();
    let rows = rows(&text);
    let numbers: Vec<u32> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, NUMBERS.collect::<Vec<_>>());
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    for (number, cell) in &rows {
        let tests = named(cell);
        if tests.is_empty() && !cell.starts_with("not shown:") {
            wrong.insert(format!("{number}: neither a test nor `not shown:` with the reason"));
        }
        for (file, test) in tests {
            let source = sources
                .entry(file.clone())
                .or_insert_with(|| fs::read_to_string(top().join(&file)).unwrap_or_default());
            if !source.contains(&format!("fn {test}(")) {
                wrong.insert(format!("{number}: {file} has no test {test}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
