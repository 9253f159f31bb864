//! Reading, writing, editing, moving, deleting.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::stage::Stage;

#[tokio::test]
async fn a_text_is_read_whole_or_in_ranges_and_says_how_to_go_on() {
    let stage = Stage::new().await;
    let text: String = (1..=3000).map(|n| format!("line {n}\n")).collect();
    stage.write("t.txt", &text);
    stage.write("small", "a\n  b ü\n\"c\"");
    let whole = stage.server.call("read_file", json!({"path": "small"})).await;
    assert_eq!(
        (whole.text().as_str(), whole.0.content.len()),
        ("a\n  b ü\n\"c\"", 1),
        "exactly, and nothing else"
    );
    assert!(whole.0.structured_content.is_none());

    let page = stage.server.call("read_file", json!({"path": "t.txt"})).await;
    assert!(page.block(0).starts_with("line 1\n") && page.block(0).ends_with("line 2000\n"));
    assert_eq!(page.block(1), "[lines 1-2000 of 3000, file of 28893 bytes; go on with offset=2001]");
    let page = stage.server.call("read_file", json!({"path": "t.txt", "offset": 2001})).await;
    assert!(page.block(0).starts_with("line 2001\n") && page.block(0).ends_with("line 3000\n"));
    assert_eq!(page.block(1), "[lines 2001-3000 of 3000, file of 28893 bytes]");
    let page = stage.server.call("read_file", json!({"path": "t.txt", "offset": 10, "limit": 2})).await;
    assert_eq!(page.block(0), "line 10\nline 11\n");
    let page = stage.server.call("read_file", json!({"path": "t.txt", "offset": -2})).await;
    assert_eq!(page.block(0), "line 2999\nline 3000\n");
    assert_eq!(page.block(1), "[lines 2999-3000 of 3000, file of 28893 bytes]");
    let page = stage.server.call("read_file", json!({"path": "small", "offset": -99})).await;
    assert_eq!(page.text(), "a\n  b ü\n\"c\"");
    let beyond = stage.server.text("read_file", json!({"path": "t.txt", "offset": 4000})).await;
    assert_eq!(beyond, "[there is no line 4000: the file ends after line 3000]");
    stage.write("empty", "");
    assert_eq!(stage.server.text("read_file", json!({"path": "empty"})).await, "[the file is empty]");
    assert_eq!(
        stage.server.problem("read_file", json!({"path": "t.txt", "offset": 0})).await["field"],
        "offset"
    );
    stage.finish().await;
}

#[tokio::test]
async fn every_page_of_a_file_together_is_the_file() {
    let stage = Stage::new().await;
    let text: String = (1..=2500).map(|n| format!("{n} {}\n", "x".repeat(n % 97))).collect();
    stage.write("t", &text);
    let (mut joined, mut offset) = (String::new(), 1u64);
    loop {
        let page = stage.server.call("read_file", json!({"path": "t", "offset": offset})).await;
        assert!(page.block(0).len() <= 30_000);
        joined.push_str(page.block(0));
        let Some((_, next)) = page.block(1).split_once("offset=") else { break };
        offset = next.trim_end_matches(']').parse().unwrap();
    }
    assert!(joined == text, "{} of {} bytes", joined.len(), text.len());
    stage.finish().await;
}

#[tokio::test]
async fn huge_binary_and_strange_files_are_told_and_not_dumped() {
    let stage = Stage::new().await;
    let huge = std::fs::File::create(stage.path("huge")).unwrap();
    huge.set_len(5 << 40).unwrap();
    let binary = stage.server.text("read_file", json!({"path": "huge"})).await;
    assert!(binary.starts_with("huge: binary file of 5497558138880 bytes, beginning with 00 00"), "{binary}");

    let long = format!("{}\nend\n", "y".repeat(100 << 20));
    stage.write("long", &long);
    let answer = stage.server.call("read_file", json!({"path": "long"})).await;
    assert!(answer.block(0).ends_with(" more bytes]\nend\n") && answer.block(0).len() < 3000);
    assert!(answer.block(1).contains("1 long line was cut"), "{}", answer.block(1));
    let last = stage.server.call("read_file", json!({"path": "long", "offset": -1})).await;
    assert_eq!(last.block(0), "end\n");

    stage.write("latin", b"caf\xe9\n");
    let answer = stage.server.call("read_file", json!({"path": "latin"})).await;
    assert_eq!(
        (answer.block(0), answer.block(1)),
        ("caf\u{fffd}\n", "[bytes that are not UTF-8 are shown as \u{fffd}]")
    );

    rustix::fs::mkfifoat(rustix::fs::CWD, stage.path("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(stage.path("socket")).unwrap();
    for (path, words) in [("pipe", "a pipe"), ("socket", "a socket"), (".", "a directory")] {
        let problem = stage.server.problem("read_file", json!({"path": path})).await;
        assert_eq!(problem["code"], "not_a_file", "{problem}");
        assert!(problem["message"].as_str().unwrap().contains(words), "{problem}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_picture_is_shown_and_one_that_is_too_large_is_named() {
    let stage = Stage::new().await;
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend([1; 1000]);
    stage.write("p.png", &png);
    let answer = stage.server.call("read_file", json!({"path": "p.png"})).await;
    let image = answer.0.content[1].as_image().unwrap();
    assert_eq!((image.mime_type.as_str(), image.data.len()), ("image/png", png.len().div_ceil(3) * 4));
    assert!(answer.0.structured_content.is_none());
    png.resize(4_000_000, 1);
    stage.write("large.png", &png);
    let answer = stage.server.call("read_file", json!({"path": "large.png"})).await;
    assert!(answer.text().contains("too large to be shown") && answer.link().is_some());
    stage.finish().await;
}

#[tokio::test]
async fn a_file_is_written_whole_with_the_mode_it_had() {
    let stage = Stage::new().await;
    let made = stage.server.data("write_file", json!({"path": "a/b/c.sh", "content": "one\n"})).await;
    assert_eq!(made, json!({"path": "a/b/c.sh", "created": true, "bytes": 4}));
    std::fs::set_permissions(stage.path("a/b/c.sh"), std::fs::Permissions::from_mode(0o751)).unwrap();
    let replaced = stage.server.data("write_file", json!({"path": "a/b/c.sh", "content": "two\n"})).await;
    assert_eq!(replaced["created"], false);
    assert_eq!(stage.read("a/b/c.sh"), "two\n");
    assert_eq!(std::fs::metadata(stage.path("a/b/c.sh")).unwrap().permissions().mode() & 0o7777, 0o751);
    let problem = stage
        .server
        .problem("write_file", json!({"path": "a/b/c.sh", "content": "", "mode": "create"}))
        .await;
    assert_eq!(problem["code"], "already_exists");
    stage
        .server
        .data("write_file", json!({"path": "a/b/c.sh", "content": "three\n", "mode": "append"}))
        .await;
    assert_eq!(stage.read("a/b/c.sh"), "two\nthree\n");
    let whole = stage.dir.path().canonicalize().unwrap().join("abs");
    stage.server.data("write_file", json!({"path": whole, "content": "x"})).await;
    assert_eq!(stage.read("abs"), "x", "an absolute path below the root is taken");
    assert_eq!(
        stage.server.problem("write_file", json!({"path": "a", "content": ""})).await["code"],
        "not_a_file"
    );
    let problem = stage.server.problem("write_file", json!({"path": "abs/x", "content": ""})).await;
    assert_eq!(problem["code"], "not_a_directory");
    let large =
        stage.server.problem("write_file", json!({"path": "l", "content": "x".repeat((8 << 20) + 1)})).await;
    assert_eq!((&large["code"], &large["field"]), (&json!("too_large"), &json!("content")));
    let names: Vec<_> =
        std::fs::read_dir(stage.path("a/b")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["c.sh"], "nothing temporary is left");
    stage.finish().await;
}

#[tokio::test]
async fn a_link_is_written_through_and_stays_a_link() {
    let stage = Stage::new().await;
    stage.write("real/f", "old");
    std::os::unix::fs::symlink("real/f", stage.path("link")).unwrap();
    stage.server.data("write_file", json!({"path": "link", "content": "new"})).await;
    assert_eq!(stage.read("real/f"), "new");
    assert!(std::fs::symlink_metadata(stage.path("link")).unwrap().is_symlink());
    let edit = json!({"path": "link", "edits": [{"old_string": "new", "new_string": "newer"}]});
    stage.server.data("edit_file", edit).await;
    assert_eq!(stage.read("real/f"), "newer");
    assert!(std::fs::symlink_metadata(stage.path("link")).unwrap().is_symlink());
    stage.finish().await;
}

#[tokio::test]
async fn readers_never_see_half_a_file() {
    let stage = Stage::new().await;
    let versions = ["a".repeat(200_000), "b".repeat(300_000)];
    stage.write("f", &versions[0]);
    let path = stage.path("f");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = stop.clone();
    let (known, reader) = (versions.clone(), path.clone());
    let reading = std::thread::spawn(move || {
        let mut reads = 0;
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            let content = std::fs::read_to_string(&reader).unwrap();
            assert!(known.contains(&content), "{} bytes", content.len());
            reads += 1;
        }
        reads
    });
    for n in 1..60 {
        stage.server.data("write_file", json!({"path": "f", "content": versions[n % 2]})).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(reading.join().unwrap() > 10);
    stage.finish().await;
}

#[tokio::test]
async fn edits_are_made_in_order_all_or_none() {
    let stage = Stage::new().await;
    stage.write("f.rs", "fn a() {}\nfn b() {}\nfn a2() {}\n");
    let edits = json!([
        {"old_string": "fn b() {}", "new_string": "fn b() { c() }"},
        {"old_string": "c()", "new_string": "d()"},
        {"old_string": "fn a", "new_string": "fn x", "replace_all": true},
    ]);
    let done = stage.server.data("edit_file", json!({"path": "f.rs", "edits": edits})).await;
    assert_eq!((&done["replacements"], &done["lines"]), (&json!(4), &json!([2, 2, 1])));
    let after = "fn x() {}\nfn b() { d() }\nfn x2() {}\n";
    assert_eq!(stage.read("f.rs"), after);
    for (edits, code, field) in [
        (
            json!([{"old_string": "fn b", "new_string": "z"}, {"old_string": "gone", "new_string": ""}]),
            "text_not_found",
            "edits[1].old_string",
        ),
        (json!([{"old_string": "fn ", "new_string": "z"}]), "text_not_unique", "edits[0].old_string"),
        (json!([{"old_string": "", "new_string": "z"}]), "invalid_argument", "edits[0].old_string"),
    ] {
        let problem = stage.server.problem("edit_file", json!({"path": "f.rs", "edits": edits})).await;
        assert_eq!((&problem["code"], &problem["field"]), (&json!(code), &json!(field)));
        assert_eq!(stage.read("f.rs"), after, "the file is as it was");
    }
    let missing = json!({"path": "none", "edits": [{"old_string": "a", "new_string": "b"}]});
    assert_eq!(stage.server.problem("edit_file", missing).await["code"], "not_found");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_deleted_can_be_taken_back_and_git_does_not_see_the_trash() {
    let stage = Stage::new().await;
    stage.write("d/x", "keep me");
    let gone = stage.server.data("delete_file", json!({"path": "d"})).await;
    let trash = gone["trash"].as_str().unwrap();
    assert!(trash.starts_with(".workspace-mcp/trash/") && !stage.path("d").exists());
    let back = stage.server.data("move_file", json!({"from": trash, "to": "e/d"})).await;
    assert_eq!(back["to"], "e/d");
    assert_eq!(stage.read("e/d/x"), "keep me");
    assert_eq!(stage.read(".workspace-mcp/.gitignore").lines().last(), Some("*"));
    let gone = stage.server.data("delete_file", json!({"path": "e", "permanently": true})).await;
    assert_eq!(gone, json!({"path": "e"}));
    assert!(!stage.path("e").exists());
    for path in ["", ".", ".workspace-mcp", ".workspace-mcp/jobs/x"] {
        assert_eq!(
            stage.server.problem("delete_file", json!({"path": path})).await["code"],
            "invalid_argument",
            "{path}"
        );
    }
    assert_eq!(stage.server.problem("delete_file", json!({"path": "e"})).await["code"], "not_found");
    stage.finish().await;
}

#[tokio::test]
async fn moving_replaces_only_when_told_to() {
    let stage = Stage::new().await;
    stage.write("a", "a");
    stage.write("b", "b");
    stage.write("dir/x", "x");
    let problem = stage.server.problem("move_file", json!({"from": "a", "to": "b"})).await;
    assert_eq!((&problem["code"], &problem["field"]), (&json!("already_exists"), &json!("to")));
    stage.server.data("move_file", json!({"from": "a", "to": "b", "overwrite": true})).await;
    assert_eq!((stage.read("b"), stage.path("a").exists()), ("a".to_owned(), false));
    stage.server.data("move_file", json!({"from": "b", "to": "new/deep/b"})).await;
    assert_eq!(stage.read("new/deep/b"), "a");
    let problem = stage.server.problem("move_file", json!({"from": "dir", "to": "dir/in/dir"})).await;
    assert_eq!(problem["code"], "invalid_argument", "{problem}");
    let problem = stage.server.problem("move_file", json!({"from": "none", "to": "made/x"})).await;
    assert_eq!((&problem["code"], stage.path("made").exists()), (&json!("not_found"), false));
    stage.finish().await;
}

#[tokio::test]
async fn a_directory_is_a_tree_within_its_lines() {
    let stage = Stage::new().await;
    stage.write(".gitignore", "target/\n*.log\n!keep.log\n");
    stage.write("src/.gitignore", "generated\n");
    for file in [
        "src/main.rs",
        "src/generated",
        "src/a/deep/x.rs",
        "target/big",
        "x.log",
        "keep.log",
        ".github/ci.yml",
        ".git/config",
    ] {
        stage.write(file, "12345");
    }
    std::os::unix::fs::symlink("src/main.rs", stage.path("link")).unwrap();
    let tree = stage.server.text("list_files", json!({})).await;
    let want = ".github/\n  ci.yml  5 B\n.gitignore  24 B\nkeep.log  5 B\nlink -> src/main.rs\nsrc/\n  .gitignore  10 B\n  a/\n    deep/\n      x.rs  5 B\n  main.rs  5 B\n";
    assert_eq!(tree, want);
    let all = stage.server.text("list_files", json!({"include_ignored": true})).await;
    assert!(all.contains("target/") && all.contains("generated") && !all.contains(".git/\n"), "{all}");
    let one = stage.server.text("list_files", json!({"path": "src", "depth": 1})).await;
    assert_eq!(one, ".gitignore  10 B\na/\nmain.rs  5 B\n");

    for n in 0..300 {
        stage.write(&format!("many/f{n:03}"), "");
    }
    let tree = stage.server.text("list_files", json!({"limit": 20})).await;
    assert!(tree.contains("many/  (300 entries)") && tree.contains("not everything is shown"), "{tree}");
    assert!(tree.lines().count() <= 22, "{tree}");
    let tree = stage.server.text("list_files", json!({"limit": 100})).await;
    assert!(tree.contains("  f049  0 B\n  … 250 more\n"), "{tree}");
    let page = stage
        .server
        .text("list_files", json!({"path": "many", "depth": 1, "limit": 100, "offset": 100}))
        .await;
    assert!(page.starts_with("f100") && page.contains("go on with offset=200"), "{page}");
    let problem = stage.server.problem("list_files", json!({"path": "many/f001"})).await;
    assert_eq!(problem["code"], "not_a_directory");
    stage.finish().await;
}

#[tokio::test]
async fn a_glob_finds_paths() {
    let stage = Stage::new().await;
    for file in ["a.rs", "src/b.rs", "src/x/c.rs", "src/x/d.ts", "web/e.ts", "web/node/f.ts"] {
        stage.write(file, "");
    }
    stage.write(".gitignore", "/web/node\n");
    for (arguments, want) in [
        (json!({"pattern": "*.rs"}), "a.rs\nsrc/b.rs\nsrc/x/c.rs\n"),
        (json!({"pattern": "src/*.rs"}), "src/b.rs\n"),
        (json!({"pattern": "src/**/*.{rs,ts}"}), "src/b.rs\nsrc/x/c.rs\nsrc/x/d.ts\n"),
        (json!({"pattern": "*.ts", "path": "web"}), "web/e.ts\n"),
        (json!({"pattern": "/*.ts", "path": "src/x"}), "src/x/d.ts\n"),
        (json!({"pattern": "x"}), "src/x/\n"),
        (json!({"pattern": "*.ts", "include_ignored": true}), "src/x/d.ts\nweb/e.ts\nweb/node/f.ts\n"),
        (json!({"pattern": "nothing"}), "[nothing matches]"),
        (
            json!({"pattern": "*.rs", "limit": 1, "offset": 1}),
            "src/b.rs\n\n[there is more: go on with offset=2]",
        ),
    ] {
        assert_eq!(stage.server.text("list_files", arguments.clone()).await, want, "{arguments}");
    }
    for bad in ["a[", "{a,{b,c}", ""] {
        let problem: Value = stage.server.problem("list_files", json!({"pattern": bad})).await;
        assert_eq!(problem["field"], "pattern", "{bad}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_list_that_does_not_fit_is_in_a_file() {
    let stage = Stage::new().await;
    let long = "n".repeat(100);
    for n in 0..1000 {
        stage.write(&format!("dir/{long}{n:04}"), "");
    }
    for (arguments, words) in [
        (json!({"pattern": "*", "limit": 900}), "900 lines are in "),
        (json!({"path": "dir", "depth": 1, "limit": 900}), "900 lines are in "),
        (json!({"path": "dir", "limit": 900}), "read_file has the rest"),
    ] {
        let answer = stage.server.call("list_files", arguments.clone()).await;
        assert!(answer.block(0).len() <= 30_000, "{arguments}");
        assert!(answer.block(1).contains(words), "{arguments}: {}", answer.block(1));
        let kept = stage.read(answer.fact("path").as_str().unwrap());
        assert!(
            kept.starts_with(answer.block(0)) && (900..=901).contains(&kept.lines().count()),
            "{arguments}"
        );
    }
    stage.finish().await;
}
