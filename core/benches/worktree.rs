//! How long until a worktree of a 4,000-file repository is ready, beside `git worktree add` in the same run.
//!
//! `cargo bench -p sandboxed-core --bench worktree`; prints p50 and p99 in milliseconds.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and stops at the first fault"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sandboxed_core::git::{self, Spares, WorktreeRequest};

const FILES: usize = 4_000;
const ROUNDS: usize = 20;
const PARALLEL: usize = 64;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    generate(&repo);
    println!("{FILES} files, {} threads", std::thread::available_parallelism().map_or(1, usize::from));
    let spares = Spares::new(dir.path().join("spares"));
    let lab = Lab { repo: &repo, out: dir.path().join("out") };
    fs::create_dir(&lab.out).unwrap();

    let (mut theirs, mut written, mut spared, mut status) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        theirs.push(lab.git_cli(&format!("cli{round}")));
        written.push(lab.ours(&format!("written{round}"), None));
        spares.prepare(&repo, None, 1).unwrap();
        spared.push(lab.ours(&format!("spare{round}"), Some(&spares)));
        let started = Instant::now();
        let out = run(&lab.out.join(format!("spare{round}")), &["status", "--porcelain"]);
        status.push(started.elapsed());
        assert_eq!(out, "");
    }
    report("git worktree add", theirs);
    report("ours, files written", written);
    report("ours, from a spare", spared);
    report("git status afterwards", status);

    let started = Instant::now();
    let each = lab.together("parallel", None);
    report(&format!("{PARALLEL} at once, written: each"), each);
    println!("{:<36} all {:8.1}", "", millis(started.elapsed()));
    spares.prepare(&repo, None, PARALLEL).unwrap();
    let started = Instant::now();
    let each = lab.together("parallel-spare", Some(&spares));
    report(&format!("{PARALLEL} at once, spares: each"), each);
    println!("{:<36} all {:8.1}", "", millis(started.elapsed()));
    println!("{}", run(&repo, &["worktree", "list"]).lines().count());
}

struct Lab<'a> {
    repo: &'a Path,
    out: PathBuf,
}

impl Lab<'_> {
    fn git_cli(&self, name: &str) -> Duration {
        let path = self.out.join(name);
        let started = Instant::now();
        run(self.repo, &["worktree", "add", "-q", "-b", name, path.to_str().unwrap()]);
        started.elapsed()
    }

    fn ours(&self, name: &str, spares: Option<&Spares>) -> Duration {
        let request = WorktreeRequest {
            repo_root: self.repo.to_owned(),
            branch: name.to_owned(),
            base: None,
            path: self.out.join(name),
            name: name.to_owned(),
        };
        let started = Instant::now();
        let validated = git::validate(&request).unwrap();
        git::create(&validated, spares).unwrap();
        started.elapsed()
    }

    fn together(&self, prefix: &str, spares: Option<&Spares>) -> Vec<Duration> {
        std::thread::scope(|scope| {
            let one = |n| scope.spawn(move || self.ours(&format!("{prefix}{n}"), spares));
            let all: Vec<_> = (0..PARALLEL).map(one).collect();
            all.into_iter().map(|handle| handle.join().unwrap()).collect()
        })
    }
}

/// Files of 0.5 to 16 kB in 200 directories, packed as in a clone.
fn generate(repo: &Path) {
    for n in 0..FILES {
        let dir = repo.join(format!("src/part{:02}/sub{}", n % 50, n % 4));
        fs::create_dir_all(&dir).unwrap();
        let line =
            format!("fn item_{n}(value: u64) -> u64 {{ value.wrapping_mul({n}) ^ 0x{:x} }}\n", n * 7919);
        fs::write(dir.join(format!("file{n}.rs")), line.repeat(8 + (n * 37) % 240)).unwrap();
    }
    run(repo, &["init", "-q", "-b", "main"]);
    run(repo, &["add", "."]);
    run(repo, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"]);
    run(repo, &["gc", "-q"]);
    // Fresh files are as young as the index, which then proves nothing about them; a used checkout's are older.
    std::thread::sleep(Duration::from_millis(1_100));
    run(repo, &["update-index", "--force-write-index"]);
}

fn run(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git").current_dir(dir).args(args).output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |q: f64| millis(times[((times.len() - 1) as f64 * q).round() as usize]);
    println!("{what:<36} p50 {:8.1}  p99 {:8.1}", at(0.5), at(0.99));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
