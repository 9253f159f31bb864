//! The arrows of the house run one way: between packages, and between the layers of `core/src`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod source;

use std::collections::BTreeSet;

use source::{code, files, is_word, read};

/// Layers of `core/src`, top to bottom. Those of one row do not know each other, but the command line may start the
/// daemon.
const LAYERS: &[&[&str]] = &[
    &["cli", "daemon"],
    &["http"],
    &["app"],
    &["mission"],
    &["workspace"],
    &["harness", "git", "library"],
    &["sandbox"],
    &["store"],
];

/// Packages, and what of ours each may depend on (tests aside).
const PACKAGES: &[(&str, &[&str])] = &[
    ("core/domain", &[]),
    ("core/git", &["sandboxed-domain"]),
    ("core/client", &["sandboxed-domain"]),
    ("core/mcp", &[]),
    ("core/runner", &[]),
    ("core/testkit", &[]),
    ("mcp-orchestrator", &["sandboxed-client", "sandboxed-domain", "sandboxed-mcp"]),
    ("workspace-mcp", &["sandbox-runner", "sandboxed-domain", "sandboxed-git", "sandboxed-mcp"]),
    ("desktop-mcp", &["sandboxed-mcp"]),
    ("core", &["sandbox-runner", "sandboxed-client", "sandboxed-domain", "sandboxed-git"]),
];

/// Packages that the domain does not touch: a rule that needs one of them is given its answer instead.
const IMPURE_PACKAGES: &[&str] = &["tokio", "axum", "rusqlite", "reqwest", "git2", "inotify", "nix", "libc"];

/// Parts of the standard library that it does not touch either.
const IMPURE_STD: &[&str] = &["fs", "net", "process", "env", "thread", "os"];

/// Clocks, which the domain is told of.
const CLOCKS: &[&str] = &["SystemTime::now", "Instant::now", "Utc::now", "Local::now"];

/// Agents by name. Above the harness modules of the domain nobody asks which one it is, only what it can do.
const AGENTS: &[&str] = &["claude", "codex", "opencode", "gemini", "grok"];

/// Where an agent's name belongs in `core/src`: clients to connect, by their own settings files.
const AGENTS_ALLOWED: &[&str] =
    &["core/src/cli/connect", "core/src/cli/args/command.rs", "core/src/cli/args/tests.rs"];

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&layer))
}

fn may_use(from: &str, to: &str) -> bool {
    from == to || (from, to) == ("cli", "daemon") || rank(from) < rank(to)
}

/// `cli` for `core/src/cli/demo.rs` and `core/src/cli.rs`; none for the roots `lib.rs` and `main.rs`.
fn layer_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix("core/src/")?;
    let first = below.split('/').next()?;
    (!["lib.rs", "main.rs"].contains(&below)).then(|| first.trim_end_matches(".rs"))
}

/// How many `super::` lead from a file to the crate's root.
fn depth_of(path: &str) -> usize {
    let below = path.trim_start_matches("core/src/");
    below.matches('/').count() + usize::from(!below.ends_with("/mod.rs"))
}

/// First names after the crate's root: `crate::a`, `crate::{a::x, b}`, and enough `super::` to get there.
fn uses(text: &str, depth: usize) -> BTreeSet<String> {
    let roots = ["crate::", "sandboxed_core::", &"super::".repeat(depth)];
    let text = code(text, false);
    roots.iter().flat_map(|root| names_after(root, &text)).collect()
}

/// First names of all paths that begin with `root`.
fn names_after(root: &str, code: &str) -> BTreeSet<String> {
    let line =
        code.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ::", "::").replace(":: ", "::");
    let mut found = BTreeSet::new();
    for (at, _) in line.match_indices(root) {
        let before = &line[..at];
        if !before.ends_with(is_word) && !before.ends_with("::") {
            first_names(&line[at + root.len()..], &mut found);
        }
    }
    found
}

/// The names with which each path of a use tree begins.
fn first_names(tree: &str, found: &mut BTreeSet<String>) {
    let Some(group) = tree.strip_prefix('{') else {
        found.insert(tree.chars().take_while(|c| is_word(*c)).collect());
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                first_names(group[start..at].trim(), found);
                start = at + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// What is wrong with one file of `core/src`.
fn against_layers(path: &str, text: &str) -> Vec<String> {
    let Some(from) = layer_of(path) else { return Vec::new() };
    if rank(from).is_none() {
        return vec![format!("{path}: {from} is no layer; say in LAYERS where it stands")];
    }
    let to = uses(text, depth_of(path)).into_iter().filter(|to| rank(to).is_some() && !may_use(from, to));
    to.map(|to| format!("{path}: {from} must not use {to}")).collect()
}

/// What a file of the domain has no business with.
fn impure(text: &str) -> Vec<String> {
    let code = code(text, false);
    let std = names_after("std::", &code).into_iter().filter(|name| IMPURE_STD.contains(&name.as_str()));
    let clocks = CLOCKS.iter().filter(|clock| code.contains(**clock)).map(|clock| (*clock).to_owned());
    let packages = IMPURE_PACKAGES.iter().filter(|name| !names_after(&format!("{name}::"), &code).is_empty());
    std.chain(clocks).chain(packages.map(|name| (*name).to_owned())).collect()
}

/// Agents' names in code or strings, in any spelling, also as part of a word.
fn agents(text: &str) -> Vec<&'static str> {
    let text = code(text, true).to_lowercase();
    AGENTS.iter().copied().filter(|name| text.contains(name)).collect()
}

/// Names in `[dependencies]` and its like; those for tests and build scripts are not counted.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let mut counted = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            let (table, name) = section.rsplit_once("dependencies.").unwrap_or((section, ""));
            counted =
                section.contains("dependencies") && !table.contains("dev-") && !table.contains("build-");
            if counted && !name.is_empty() {
                found.insert(name);
                counted = false;
            }
        } else if counted && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.extend(Some(name).filter(|name| !name.is_empty()));
        }
    }
    found
}

#[test]
fn a_layer_uses_only_those_below_it() {
    let wrong: Vec<_> =
        files("core/src", ".rs").iter().flat_map(|(path, text)| against_layers(path, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn packages_depend_only_downwards() {
    for (package, allowed) in PACKAGES {
        let manifest = read(&format!("{package}/Cargo.toml"));
        let ours = dependencies(&manifest).into_iter().filter(|name| name.starts_with("sandbox"));
        let wrong: Vec<_> = ours.filter(|name| !allowed.contains(name)).collect();
        assert!(wrong.is_empty(), "{package} depends on {wrong:?}");
    }
    let members = read("Cargo.toml");
    let members = members.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        assert!(PACKAGES.iter().any(|(package, _)| *package == member), "{member} is not in PACKAGES");
    }
}

#[test]
fn the_domain_touches_nothing_outside_itself() {
    let manifest = read("core/domain/Cargo.toml");
    let packages = dependencies(&manifest);
    let wrong: Vec<_> = IMPURE_PACKAGES.iter().filter(|name| packages.contains(**name)).collect();
    assert!(wrong.is_empty(), "core/domain depends on {wrong:?}");
    for (path, text) in files("core/domain/src", ".rs") {
        assert_eq!(impure(&text), [""; 0], "{path}");
    }
}

#[test]
fn agents_are_named_only_in_their_own_places() {
    for (path, text) in files("core/src", ".rs") {
        if !AGENTS_ALLOWED.iter().any(|allowed| path.starts_with(allowed)) {
            assert_eq!(agents(&text), [""; 0], "{path} names an agent; ask its capabilities instead");
        }
    }
}

#[test]
fn a_planted_violation_is_found() {
    let planted = [
        ("core/src/store/a.rs", "use crate::mission::X;"),
        ("core/src/store/mod.rs", "use crate::{ store::Y, \n app::{Z, W} };"),
        ("core/src/harness/a.rs", "fn f() { crate::git::open() }"),
        ("core/src/git.rs", "use super::workspace;"),
        ("core/src/sandbox/cgroup/group.rs", "use super :: super::super::app::A;"),
        ("core/src/daemon/a.rs", "use crate::cli::B;"),
        ("core/src/http/a.rs", "/* x */ use crate::/* y */cli::B;"),
        ("core/src/utils/a.rs", ""),
    ];
    for (path, text) in planted {
        assert_eq!(against_layers(path, text).len(), 1, "{path}: {text}");
    }
    let fine = [
        ("core/src/cli/a.rs", "use crate::{daemon::A, store::{B, app::C}};"),
        ("core/src/store/a.rs", "// use crate::app;\nconst X: &str = \"crate::app\"; /* crate::app */"),
        (
            "core/src/store/b.rs",
            "const Q: char = '\"'; const R: &str = r#\"\" crate::app\"#; use crate::store::app;",
        ),
        ("core/src/store/a/b.rs", "use super::app; use super::super::store;"),
        ("core/src/lib.rs", "pub mod app; use crate::app::X;"),
    ];
    for (path, text) in fine {
        assert_eq!(against_layers(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn a_planted_clock_agent_or_dependency_is_found() {
    let found =
        impure("use std::{fmt, fs::File};\nfn now<'a>(x: &'a str) { chrono::Utc::now() } // std::net");
    assert_eq!(found, ["fs", "Utc::now"]);
    assert_eq!(impure("use tokio::spawn;"), ["tokio"]);
    assert_eq!(impure("use my_tokio::x; my_std::fs(); use std::collections::fs;"), [""; 0]);
    assert_eq!(agents("if id == \"claudecode\" { Grok }"), ["claude", "grok"]);
    assert_eq!(agents("// claude"), [""; 0]);
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n# c = 1\nb = { path = \"y\" }\n\
                    [target.'cfg(unix)'.dependencies.d]\nversion = \"1\"\n[dev-dependencies]\ne = \"1\"\n";
    assert_eq!(dependencies(manifest), BTreeSet::from(["a", "b", "d"]));
}
