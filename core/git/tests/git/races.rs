//! A worker that replaces directories by links while the daemon writes: nothing outside is touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sandboxed_git::{self as ours, Spares, write_only_below};

use crate::fixture::{Lab, commit, write};

/// Worktrees made and removed while links come and go.
const ROUNDS: usize = 60;

/// Replaces every directory in `places` by a link to `target` for a moment, again and again, until `done`.
fn swap(places: &[PathBuf], target: &Path, done: &AtomicBool, swapped: &AtomicUsize) {
    while !done.load(Ordering::Relaxed) {
        for place in places {
            let entries = fs::read_dir(place).into_iter().flatten().flatten();
            for path in entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()) {
                let aside = place.join("aside");
                if fs::rename(&path, &aside).is_ok() {
                    if symlink(target, &path).is_ok() {
                        swapped.fetch_add(1, Ordering::Relaxed);
                        std::thread::yield_now();
                        let _ = fs::remove_file(&path);
                    }
                    let _ = fs::rename(&aside, &path);
                }
            }
        }
    }
}

/// Runs `work` beside a thread that swaps; returns the names that are in the victim's directory then.
fn beside_a_swapper(places: &[PathBuf], victim: &Path, work: impl FnOnce(&AtomicUsize)) -> Vec<String> {
    let (done, swapped) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| swap(places, victim, &done, &swapped));
        work(&swapped);
        done.store(true, Ordering::Relaxed);
    });
    assert!(swapped.into_inner() > 0, "links were put in the way");
    fs::read_dir(victim).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect()
}

#[test]
fn no_link_that_a_worker_swaps_in_leads_a_worktrees_files_outside() {
    let lab = Lab::new();
    for n in 0..40 {
        write(&lab.repo, &format!("a/b{}/file{n}", n % 4), "content");
    }
    commit(&lab.repo, "files");
    let (victim, worktrees) = (lab.out("victim"), lab.out("worktrees"));
    for dir in [&victim, &worktrees] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(victim.join("HEAD"), "theirs").unwrap();
    let spares = Spares::new(lab.out("spares"));
    let places = [worktrees.clone(), lab.repo.join(".git/worktrees"), lab.repo.join(".git/refs/heads")];
    let left = beside_a_swapper(&places, &victim, |swapped| {
        let mut round = 0;
        while round < ROUNDS || swapped.load(Ordering::Relaxed) == 0 {
            let request = ours::WorktreeRequest {
                path: worktrees.join(format!("w{round}")),
                ..lab.request(&format!("w{round}"))
            };
            // It may fail, in whatever way: a worker that does this harms its own work.
            let Ok(validated) = ours::validate(&request) else { continue };
            if ours::create(&validated, Some(&spares)).is_ok() {
                let _ = ours::remove(&request.path, &lab.repo, &request.branch);
            }
            round += 1;
        }
    });
    assert_eq!(left, ["HEAD"]);
    assert_eq!(fs::read_to_string(victim.join("HEAD")).unwrap(), "theirs");
}

#[test]
fn a_write_that_is_not_confined_is_led_outside_and_a_confined_one_never() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, place) = (dir.path().join("victim"), dir.path().join("place"));
    for path in [&victim, &place.join("sub")] {
        fs::create_dir_all(path).unwrap();
    }
    let sub = place.join("sub");
    let write_many = |name: &str| {
        (0..200_000).any(|n| {
            // Stops at the first that was led outside.
            let _ = fs::write(sub.join(name), "x");
            n % 64 == 0 && victim.join(name).exists()
        })
    };
    let places = [place.clone()];
    let free = beside_a_swapper(&places, &victim, |_| assert!(write_many("free"), "led outside without it"));
    assert_eq!(free, ["free"]);
    fs::remove_file(victim.join("free")).unwrap();
    let held = beside_a_swapper(&places, &victim, |swapped| {
        let begun = swapped.load(Ordering::Relaxed);
        while swapped.load(Ordering::Relaxed) < begun + 2000 {
            write_only_below(&[&place], || {
                for _ in 0..64 {
                    let _ = fs::write(sub.join("held"), "x");
                }
            })
            .unwrap();
        }
    });
    assert_eq!(held, Vec::<String>::new());
}
