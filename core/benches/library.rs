//! What the Library costs a mission's start when there is nothing to do: the remote's newest brought in, the files looked
//! at, what the mission gets decided, and what is written compared. Beside it what git takes for the first of these.
//!
//! `cargo bench -p sandboxed-core --bench library`; prints p50 and p99 in milliseconds.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and stops at the first fault"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sandboxed_core::harness::write_files;
use sandboxed_core::library::{LibraryFolder, LibrarySettings};
use sandboxed_domain::harness::{Harness, WrittenFile, find, library_files};
use sandboxed_domain::library::{Selection, resolve_library};

/// Skills of a Library, and how many each of its roles, commands, rules and tools.
const SIZES: [(usize, usize); 2] = [(10, 5), (100, 50)];
const ROUNDS: usize = 200;

fn main() {
    for (skills, others) in SIZES {
        measure(skills, others);
    }
}

fn measure(skills: usize, others: usize) {
    let dir = tempfile::tempdir().unwrap();
    let (remote, theirs) = (dir.path().join("lib.git"), dir.path().join("theirs"));
    git(dir.path(), &["init", "-q", "--bare", "-b", "main", "lib.git"]);
    git(dir.path(), &["clone", "-q", "lib.git", "theirs"]);
    let files = fill(&theirs, skills, others);
    git(&theirs, &["add", "-A"]);
    git(&theirs, &["commit", "-qm", "All"]);
    git(&theirs, &["push", "-q", "origin", "HEAD:main"]);
    println!("{files} files: {skills} skills, {others} each of roles, commands, rules and tools");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings =
        LibrarySettings { remote: Some(remote.display().to_string()), ..LibrarySettings::default() };
    let folder = LibraryFolder::open(dir.path(), settings).unwrap();
    let harness = find("claudecode").unwrap();
    let mission = dir.path().join("mission");
    fs::create_dir(&mission).unwrap();
    let mut known = Known::new();

    let started = Instant::now();
    known.extend(sync(&runtime, &folder, harness, &mission, &known));
    report("the first time, everything written", vec![started.elapsed()]);
    assert!(known.len() > skills, "{}", known.len());
    let mut reads = vec![];
    // What was written just now is not trusted yet.
    while known.values().any(|file| file.stamp.is_none()) {
        let started = Instant::now();
        known.extend(sync(&runtime, &folder, harness, &mission, &known));
        reads.push(started.elapsed());
    }
    report("the next time, everything read once", reads);

    let (mut ours, mut theirs_status, mut pulls) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let started = Instant::now();
        let news = sync(&runtime, &folder, harness, &mission, &known);
        ours.push(started.elapsed());
        assert_eq!(news, Known::new());
        if round % 10 == 0 {
            theirs_status.push(timed(|| git(&theirs, &["status", "--porcelain"])));
            pulls.push(timed(|| git(&theirs, &["pull", "-q", "--ff-only", "origin", "main"])));
        }
    }
    report("nothing to do", ours);
    report("git status of the same files", theirs_status);
    report("git pull of the same, nothing new", pulls);
}

/// What is remembered of a mission's files.
type Known = BTreeMap<String, WrittenFile>;

/// All that a mission's start does with the Library; what is to be remembered anew.
fn sync(
    runtime: &tokio::runtime::Runtime,
    folder: &LibraryFolder,
    harness: &dyn Harness,
    mission: &Path,
    known: &Known,
) -> Known {
    assert_eq!(runtime.block_on(folder.refresh()), None);
    let library = folder.read();
    let selection = Selection::default();
    let resolved = resolve_library(&library, &selection, harness.library_places(), &|_| None).unwrap();
    let files = library_files(harness, &mission.display().to_string(), &resolved);
    let written = write_files(mission, &[], &files, known, false).unwrap();
    assert_eq!((written.changed.len(), written.forgotten.len()), (0, 0));
    written.files
}

/// A Library's files; how many there are.
fn fill(root: &Path, skills: usize, others: usize) -> usize {
    let text = "Some words that an agent is to read before it does what it does.\n".repeat(60);
    let mut files = Vec::new();
    for n in 0..skills {
        let front = format!("---\nname: skill-{n}\ndescription: Does number {n}\n---\n");
        files.push((format!("skills/skill-{n}/SKILL.md"), front + &text));
        files.push((format!("skills/skill-{n}/reference.md"), text.clone()));
        files.push((format!("skills/skill-{n}/scripts/run.py"), format!("#!/usr/bin/python3\n# {text}")));
    }
    for n in 0..others {
        files.push((format!("agents/role-{n}.md"), format!("---\ndescription: Role {n}\n---\n{text}")));
        files.push((format!("commands/command-{n}.md"), text.clone()));
        files.push((format!("rules/rule-{n}.md"), text.clone()));
        files.push((format!("tools/tool-{n}"), "#!/bin/sh\ntrue\n".to_owned()));
    }
    for (path, text) in &files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    files.len()
}

fn git(at: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=b", "-c", "user.email=b@localhost"];
    let done = Command::new("git").current_dir(at).args(identity).args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!("{what:<40} p50 {:8.2}   p99 {:8.2}", at(0.5), at(0.99));
}
