//! Sixty-four at once, while a human commits and git collects its garbage.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::fixture::{Lab, git, git_raw};

#[test]
fn sixty_four_at_once_never_fail_beside_commits_and_gc() {
    const N: usize = 64;
    let lab = Lab::new();
    let stop = AtomicBool::new(false);
    let (lab, stop) = (&lab, &stop);
    std::thread::scope(|scope| {
        let human = scope.spawn(move || {
            let mut commits = 0usize;
            let mut text = 0;
            while !stop.load(Ordering::Relaxed) {
                lab.write("README.md", &format!("{text}\n"));
                text += 1;
                let done = git_raw(&lab.repo, &["commit", "-q", "-a", "-m", "human"]);
                // git's own commit can lose a race with git's own gc over an emptied directory: not what is tested.
                commits += usize::from(done.status.success());
            }
            commits
        });
        let collector = scope.spawn(move || {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                git(&lab.repo, &["gc", "-q"]);
                git(&lab.repo, &["worktree", "prune", "--expire=now"]);
                rounds += 1;
            }
            rounds
        });
        let all: Vec<_> = (0..N).map(|n| scope.spawn(move || lab.make(&format!("w{n}")))).collect();
        let results: Vec<_> = all.into_iter().map(|handle| handle.join().unwrap()).collect();
        stop.store(true, Ordering::Relaxed);
        let (commits, rounds) = (human.join().unwrap(), collector.join().unwrap());
        assert!(commits > 0 && rounds > 0);
        for made in results {
            let made = made.unwrap();
            assert_eq!(git(&made.path, &["status", "--porcelain"]), "");
        }
    });
    git(&lab.repo, &["fsck", "--strict"]);
    assert_eq!(lab.counts(), (N + 1, N + 1));
}
