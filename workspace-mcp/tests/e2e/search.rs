//! Searching: what matches, how it is told, and that nothing runs away.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn matches_are_told_by_file_with_numbers_and_context() {
    let stage = Stage::new().await;
    stage.write("a.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\ntwo again\n");
    stage.write("b/c.rs", "fn two() {}\n");
    stage.write("b/skip.log", "two\n");
    stage.write(".gitignore", "*.log\n");
    stage.write("bin", b"two\0two\n");
    stage.write(".hidden", "Two\n");
    for (arguments, want) in [
        (
            json!({"pattern": "two"}),
            "a.txt\n2:two\n8:two again\n\nb/c.rs\n1:fn two() {}\n\n[3 matches in 2 files]",
        ),
        (json!({"pattern": "^two$", "context": 1}), "a.txt\n1-one\n2:two\n3-three\n\n[1 match in 1 file]"),
        (
            json!({"pattern": "two", "path": "a.txt", "context": 1}),
            "a.txt\n1-one\n2:two\n3-three\n--\n7-seven\n8:two again\n\n[2 matches in 1 file]",
        ),
        (json!({"pattern": "two", "glob": "*.rs"}), "b/c.rs\n1:fn two() {}\n\n[1 match in 1 file]"),
        (json!({"pattern": "two", "glob": "!*.rs", "mode": "files"}), "a.txt\n\n[1 file]"),
        (json!({"pattern": "two", "mode": "count"}), "a.txt: 2\nb/c.rs: 1\n\n[2 files]"),
        (
            json!({"pattern": "two", "mode": "files", "include_ignored": true}),
            "a.txt\nb/c.rs\nb/skip.log\n\n[3 files]",
        ),
        (
            json!({"pattern": "TWO()", "literal": true, "ignore_case": true}),
            "b/c.rs\n1:fn two() {}\n\n[1 match in 1 file]",
        ),
        (json!({"pattern": "(?i)^TWO", "path": ".hidden"}), ".hidden\n1:Two\n\n[1 match in 1 file]"),
        (json!({"pattern": "nowhere"}), "[no matches]"),
    ] {
        assert_eq!(stage.server.text("search_files", arguments.clone()).await, want, "{arguments}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn pages_together_are_all_matches() {
    let stage = Stage::new().await;
    let mut want = Vec::new();
    for file in 0..300 {
        let lines: String = (0..file % 5).map(|n| format!("hit {n}\nno\n")).collect();
        want.extend((0..file % 5).map(|n| format!("f{file:03} {}:hit {n}", 2 * n + 1)));
        stage.write(&format!("f{file:03}"), lines);
    }
    let (mut got, mut offset) = (Vec::new(), 0u64);
    loop {
        let page =
            stage.server.call("search_files", json!({"pattern": "hit", "limit": 37, "offset": offset})).await;
        let mut file = "";
        for line in page.block(0).lines().filter(|line| !line.is_empty()) {
            if line.contains(':') { got.push(format!("{file} {line}")) } else { file = line }
        }
        let Some((_, rest)) = page.block(1).split_once("offset=") else { break };
        offset = rest.split(',').next().unwrap().parse().unwrap();
    }
    assert_eq!(got, want);
    stage.finish().await;
}

#[tokio::test]
async fn a_pattern_that_cannot_be_used_is_told_and_a_bomb_does_no_harm() {
    let stage = Stage::new().await;
    stage.write("text", "a".repeat(100_000) + "\n");
    for pattern in ["(", "a{1000}{1000}{1000}", "[z-a]", "a\\nb", &"(a|".repeat(1000)] {
        let problem = stage.server.problem("search_files", json!({"pattern": pattern})).await;
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&json!("bad_pattern"), &json!("pattern")),
            "{pattern}"
        );
    }
    let begun = Instant::now();
    for pattern in ["(a*)*b", "(a|a|aa)+$x", "([a-z]{1,60}){1,60}!", "(\\w{1,4}){1,4}!", ".*.*.*.*.*=x"] {
        let answer = stage.server.text("search_files", json!({"pattern": pattern})).await;
        assert!(answer.starts_with("[no matches"), "{pattern}: {answer}");
    }
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    stage.finish().await;
}

#[tokio::test]
async fn long_lines_and_many_matches_stay_within_the_answer() {
    let stage = Stage::new().await;
    stage.write("wide", format!("x{}\n", "y".repeat(1 << 20)));
    let text = stage.server.text("search_files", json!({"pattern": "xy"})).await;
    assert!(text.len() < 600 && text.contains('…'), "{}", text.len());
    stage.write("all", "match me please, I am a line of some length\n".repeat(200_000));
    let text = stage.server.text("search_files", json!({"pattern": "match", "limit": 1000})).await;
    assert!(text.len() < 31_000 && text.contains("go on with offset="), "{}", text.len());
    // What does not fit is in a file, up to the limit.
    let answer = stage.server.call("search_files", json!({"pattern": "match", "limit": 5000})).await;
    assert!(
        answer.block(1).contains("there are more") && answer.block(1).contains("5000 are in"),
        "{answer:?}"
    );
    let path = answer.fact("path").as_str().unwrap().to_owned();
    assert!(answer.link().unwrap().ends_with(&path));
    let kept = stage.read(&path);
    assert!(
        kept.starts_with("all\n1:match me")
            && kept.ends_with("5000:match me please, I am a line of some length\n")
    );
    stage.write("endless", "z".repeat(20 << 20));
    let text = stage.server.text("search_files", json!({"pattern": "zzz", "path": "endless"})).await;
    assert!(text.contains("1 file could not be searched"), "{text}");
    stage.finish().await;
}
