//! What README and docs say exists, and what exists is described.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod source;

use std::collections::BTreeSet;
use std::process::Command;

use sandboxed_core::harness::{auto_install_variable, bootstrap_variable};
use sandboxed_domain::api::{ErrorCode, EventBody};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use source::{code, files, is_word, read, root};

const REFERENCE: &str = "docs/reference.md";

/// All pages: path and text.
fn pages() -> Vec<(String, String)> {
    let mut pages = files("docs", ".md");
    pages.extend(files("skills", ".md"));
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|path| (path.to_owned(), read(path))));
    pages
}

/// First cells of the tables of one section, without backticks; a cell may hold several words.
fn cells(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// The first column of a section's tables, as a set of words.
fn first_column(text: &str, heading: &str) -> BTreeSet<String> {
    let rows = cells(text, heading);
    rows.iter().flat_map(|row| row[1].split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Targets of links that are not on the web and not on the same page.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap())
        .collect()
}

/// `SANDBOXED_SH_X` and the like, without the bare prefix.
fn settings(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !is_word(c)).filter(|word| {
        (word.starts_with("SANDBOXED_SH_") && !word.ends_with('_'))
            || (word.ends_with("_CLI_PATH") && !word.starts_with('_'))
    });
    names.map(str::to_owned).collect()
}

/// Settings in the sources of what ships.
fn settings_in_code() -> BTreeSet<String> {
    let folders = [
        "core/src",
        "core/git/src",
        "core/client/src",
        "core/domain/src",
        "core/runner/src",
        "mcp-orchestrator/src",
        "workspace-mcp/src",
        "desktop-mcp/src",
        "core/mcp/src",
    ];
    let sources = folders.iter().flat_map(|folder| files(folder, ".rs"));
    sources.flat_map(|(_, text)| settings(&code(&text, true))).collect()
}

/// Settings whose names are put together: those of each agent's program. Not every backend is in every build.
fn settings_of_programs() -> BTreeSet<String> {
    use sandboxed_domain::harness::{CLAUDE, CODEX, GEMINI, GROK, NODE, OPENCODE};
    let paths = [&CLAUDE, &CODEX, &OPENCODE, &GEMINI, &GROK, &NODE].map(|program| program.variable());
    let backends = ["claudecode", "codex", "opencode", "gemini", "grok"];
    let installing = backends.iter().flat_map(|id| [auto_install_variable(id), bootstrap_variable(id)]);
    paths.into_iter().chain(installing).collect()
}

/// Routes with the names of their parameters left out: `/api/workspaces/:/exec`.
fn routes(words: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let segment = |s: &str| if s.starts_with([':', '{']) { ":".to_owned() } else { s.to_owned() };
    let plain = |route: String| route.split('/').map(segment).collect::<Vec<_>>().join("/");
    words.into_iter().filter(|word| word.starts_with("/api/") || word == "/metrics").map(plain).collect()
}

/// String literals of a source.
fn literals(text: &str) -> Vec<String> {
    code(text, true).split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `sandboxed-sh a b` as it stands in text: verbs, and the options after them.
fn commands(text: &str) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (at, name) in text.match_indices("sandboxed-sh ") {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        if !['`', '\n', '/'].contains(&before) {
            continue;
        }
        let line = text[at + name.len()..].lines().next().unwrap_or_default();
        let line = line.split(['`', '#', '|']).next().unwrap();
        let verb = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let words: Vec<String> = line.split_whitespace().take_while(verb).map(str::to_owned).collect();
        if !words.is_empty() {
            found.insert(words);
        }
    }
    found
}

/// Help of the real program.
fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "sandboxed-sh {} --help: {}", words.join(" "), output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Those of the words that are verbs, and the help of the last; what follows are arguments.
fn resolve<'a>(words: &[&'a str]) -> (Vec<&'a str>, String) {
    let (mut verbs, mut text) = (Vec::new(), help(&[]));
    for word in words {
        if !subcommands(&text).contains(word) {
            break;
        }
        verbs.push(*word);
        text = help(&verbs);
    }
    (verbs, text)
}

/// Names below `Commands:` of a help text.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// Every verb of the program, in full.
fn verbs(words: &[&str], into: &mut BTreeSet<Vec<String>>) {
    let text = help(words);
    let below = subcommands(&text);
    for name in &below {
        verbs(&[words, &[name]].concat(), into);
    }
    if below.is_empty() && !words.is_empty() {
        into.insert(words.iter().map(|word| (*word).to_owned()).collect());
    }
}

fn assert_same<T: Ord + std::fmt::Debug>(described: &BTreeSet<T>, there: &BTreeSet<T>) {
    let only_described: Vec<_> = described.difference(there).collect();
    let only_there: Vec<_> = there.difference(described).collect();
    assert!(only_described.is_empty(), "described in {REFERENCE} and not there: {only_described:?}");
    assert!(only_there.is_empty(), "there and not described in {REFERENCE}: {only_there:?}");
}

/// Values of an enum, as they stand on the wire.
fn values<T: JsonSchema>() -> BTreeSet<String> {
    fn collect(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("const").and_then(Value::as_str).map(str::to_owned));
                let listed = map.get("enum").and_then(Value::as_array);
                into.extend(listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
                map.iter().filter(|(key, _)| *key != "$defs").for_each(|(_, inner)| collect(inner, into));
            }
            Value::Array(list) => list.iter().for_each(|inner| collect(inner, into)),
            _ => {}
        }
    }
    let mut into = BTreeSet::new();
    collect(schema_for!(T).as_value(), &mut into);
    into
}

#[test]
fn every_relative_link_leads_to_a_file() {
    for (page, text) in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in links(&text) {
            assert!(folder.join(link).exists(), "{page} links to {link}");
        }
    }
}

#[test]
fn every_path_in_the_architecture_exists() {
    for word in read("docs/architecture.md").split('`').skip(1).step_by(2) {
        if ["core/", "mcp-orchestrator/", "workspace-mcp/", "desktop-mcp/", "skills/", "docs/"]
            .iter()
            .any(|start| word.starts_with(start))
        {
            assert!(root().join(word).exists(), "docs/architecture.md names {word}");
        }
    }
}

#[test]
fn error_codes_are_those_of_the_api_with_their_statuses() {
    let reference = read(REFERENCE);
    let described: BTreeSet<String> = first_column(&reference, "Error codes");
    assert_eq!(described, values::<ErrorCode>());
    for row in cells(&reference, "Error codes") {
        let code: ErrorCode = serde_json::from_value(Value::String(row[1].clone())).unwrap();
        let numbers = (row[2].parse().unwrap(), row[3].parse().unwrap());
        assert_eq!(numbers, (code.http_status(), code.exit_status()), "{}", row[1]);
    }
}

#[test]
fn event_types_statuses_and_reasons_are_those_of_the_api() {
    let reference = read(REFERENCE);
    assert_eq!(first_column(&reference, "Events"), values::<EventBody>());
    assert_eq!(first_column(&reference, "Missions"), values::<TerminalReason>());
    for status in MissionStatus::ALL {
        assert!(reference.contains(&format!("`{}`", status.as_str())), "{}", status.as_str());
    }
}

#[test]
fn every_setting_is_described_and_every_described_one_is_read() {
    let mut known = settings_in_code();
    known.extend(settings_of_programs());
    let described = settings(&read(REFERENCE));
    let missing: Vec<_> = known.difference(&described).collect();
    assert!(missing.is_empty(), "{REFERENCE} does not describe {missing:?}");
    // Beside those of the program there is one of the tests.
    let tests = settings(&(read(".ci/test") + &read(".ci/clis")));
    for (page, text) in pages() {
        for name in settings(&text) {
            let exists = known.contains(&name) || tests.contains(&name);
            assert!(exists, "{page} names {name}, which nothing reads");
        }
    }
}

#[test]
fn every_route_is_described_and_every_described_one_is_served() {
    let sources = files("core/src/http", ".rs");
    let served = routes(sources.iter().flat_map(|(_, text)| literals(text)));
    let rows = cells(&read(REFERENCE), "HTTP");
    let described = routes(rows.iter().filter_map(|row| row[1].split(' ').nth(1).map(str::to_owned)));
    assert_same(&described, &served);
}

#[test]
fn every_command_is_described_and_every_described_one_is_there() {
    let mut described = BTreeSet::new();
    for (page, text) in pages() {
        for words in commands(&text) {
            let (options, said): (Vec<&str>, Vec<&str>) =
                words.iter().map(String::as_str).partition(|word| word.starts_with("--"));
            let (verbs, text) = resolve(&said);
            assert!(!verbs.is_empty(), "{page}: there is no `sandboxed-sh {}`", said.join(" "));
            for word in said[verbs.len()..].iter().chain(&options) {
                assert!(text.contains(word), "{page}: `sandboxed-sh {}` has no {word}", verbs.join(" "));
            }
            if page == REFERENCE {
                described.insert(verbs.into_iter().map(str::to_owned).collect::<Vec<_>>());
            }
        }
    }
    let mut there = BTreeSet::new();
    verbs(&[], &mut there);
    assert_same(&described, &there);
}

#[test]
fn what_doctor_looks_at_is_described() {
    let data = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"))
        .args(["doctor", "--json"])
        .env("SANDBOXED_SH_DATA_DIR", data.path())
        .env_remove("SANDBOXED_SH_API_URL")
        .output()
        .unwrap();
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names = found.iter().map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    assert_same(&first_column(&read(REFERENCE), "Doctor"), &names);
}

/// The names of its variants as serde writes them.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[test]
fn tools_of_a_workspace_are_described_with_their_sizes_and_codes() {
    let tools: Vec<Value> = serde_json::from_str(&read("workspace-mcp/tests/tools.json")).unwrap();
    let sizes: Vec<(String, u64)> = tools
        .iter()
        .map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool.to_string().len() as u64 / 4))
        .collect();
    let page = read("docs/workspace-mcp.md");
    let rows = cells(&page, "Tools");
    let described: BTreeSet<_> = rows.iter().map(|row| (row[1].clone(), row[2].parse().unwrap())).collect();
    assert_same(&described, &sizes.iter().cloned().collect());
    let total: u64 = sizes.iter().map(|(_, size)| size).sum();
    assert!(page.contains(&format!("{total} in all")), "they have {total} tokens in all");
    let code = read("workspace-mcp/src/error.rs");
    let variants = code.split("pub enum Code {").nth(1).unwrap().split('}').next().unwrap();
    let names = variants.lines().map(str::trim).filter(|line| line.ends_with(',') && !line.starts_with('/'));
    let reference = read(REFERENCE);
    for name in names.map(|name| snake(name.trim_end_matches(','))) {
        assert!(reference.contains(&format!("`{name}`")), "{REFERENCE} does not describe {name}");
    }
}

/// Rows of the table of places, a column for each agent in the order of the page's first table.
fn places() -> String {
    use sandboxed_domain::harness::{Harness, find};
    let agents = ["claudecode", "codex", "opencode", "gemini", "grok"].map(|id| find(id).unwrap());
    let native = |agent: &dyn Harness| agent.library_places().native.unwrap();
    let row = |what: &str, cell: &dyn Fn(&dyn Harness) -> String| {
        format!("| {what} | {} |\n", agents.map(cell).join(" | "))
    };
    let code = |path: String| format!("`{path}`");
    let skills = |agent: &dyn Harness| format!("{}/NAME/SKILL.md", agent.skills_dir().unwrap());
    [
        "| | Claude Code | Codex | OpenCode | Gemini CLI | Grok |\n|---|---|---|---|---|---|\n".to_owned(),
        row("instructions", &|agent| code(format!("{}/{}", native(agent).home, native(agent).instructions))),
        row("settings", &|agent| {
            code(format!("{}/{}", native(agent).home, native(agent).written_settings()))
        }),
        row("skills", &|agent| code(skills(agent))),
        row("roles", &|agent| code(agent.library_places().agents.unwrap().0.to_owned() + "/")),
        row("commands", &|agent| match agent.library_places().commands {
            Some(folder) => code(format!("{folder}/NAME.md")),
            None => "as skills".to_owned(),
        }),
        row("settings of a profile", &|agent| code(format!("{}/{}", agent.id(), native(agent).settings))),
        row("its other files", &|agent| code(format!("{}/…", native(agent).home))),
    ]
    .concat()
}

#[test]
fn the_places_of_each_agents_files_are_those_of_its_adapter() {
    let page = read("docs/harnesses.md");
    let (_, rest) = page.split_once("<!-- the places of the adapters -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- their end -->").unwrap();
    assert!(table == places(), "docs/harnesses.md should say:\n{}", places());
}

#[test]
fn the_readers_of_these_tests_see_what_is_there() {
    assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g) [h](i/j)"), ["b.md", "i/j"]);
    let text =
        "run `sandboxed-sh mission list` or\nsandboxed-sh demo --repo PATH # x\nin ~/.sandboxed-sh now";
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(commands(text), BTreeSet::from([words("mission list"), words("demo --repo")]));
    assert_eq!(
        settings("`SANDBOXED_SH_A=1` SANDBOXED_SH_ X_CLI_PATH"),
        settings("X_CLI_PATH SANDBOXED_SH_A")
    );
    let found = routes(literals(r#"r("/api/a/{id}/b"); x("text"); // "/api/c""#));
    assert_eq!(found, routes(["/api/a/:x/b".to_owned()]));
    assert_eq!(
        subcommands("Usage\n\nCommands:\n  a   does\n      more\n  b\n  help  x\n\nOptions:\n  -c"),
        ["a", "b"]
    );
}
