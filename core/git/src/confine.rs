//! Work of the daemon among files that a worker may be changing at the same time.
//!
//! A path is looked up anew at each use, so a worker can put a link where a directory was between a look and a write,
//! and the daemon, being root outside, would write wherever that leads. Here the kernel holds the thread that does the
//! work to the directories it is about (Landlock looks at the file that is reached, not at its name).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError,
};

/// The oldest version that also covers moving between directories: Linux 5.19, which sandboxes need anyway.
const VERSION: ABI = ABI::V2;

/// Runs `work` in a thread that can make, change, move and remove files only below `places`; it reads as before. So do
/// the threads that it starts.
///
/// # Errors
/// A place cannot be opened, or the kernel does not do this: the work has not begun then.
pub fn write_only_below<T: Send>(places: &[&Path], work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let confined = scope.spawn(move || {
            hold_to(places)?;
            Ok(work())
        });
        match confined.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Whether the kernel does this.
pub fn is_available() -> bool {
    std::thread::scope(|scope| scope.spawn(|| hold_to(&[Path::new("/")]).is_ok()).join().unwrap_or(false))
}

fn hold_to(places: &[&Path]) -> io::Result<()> {
    let refused = |error: RulesetError| io::Error::other(format!("landlock: {error}"));
    let writes = AccessFs::from_write(VERSION);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(writes)
        .and_then(Ruleset::create)
        .map_err(refused)?;
    for place in places {
        // The place itself may lie in a directory of workers, and be a link by now.
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(place)?;
        rules = rules.add_rule(PathBeneath::new(opened, writes)).map_err(refused)?;
    }
    rules.restrict_self().map(drop).map_err(refused)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_nowhere_and_the_caller_stays_free() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = other.path().join("victim");
        fs::write(&victim, "theirs").unwrap();
        symlink(other.path(), own.path().join("link")).unwrap();
        let attempts = || {
            let through = own.path().join("link");
            [
                fs::write(through.join("new"), "x").is_ok(),
                fs::write(through.join("victim"), "x").is_ok(),
                fs::remove_file(through.join("victim")).is_ok(),
                fs::create_dir(through.join("dir")).is_ok(),
                fs::rename(own.path().join("mine"), through.join("mine")).is_ok(),
                symlink("/", through.join("l")).is_ok(),
            ]
        };
        let inside = write_only_below(&[own.path()], || {
            fs::write(own.path().join("mine"), "x").unwrap();
            std::thread::scope(|scope| scope.spawn(attempts).join().unwrap())
        });
        assert_eq!(inside.unwrap(), [false; 6]);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs");
        assert_eq!(attempts(), [true; 6], "without it each of them works");
    }

    #[test]
    fn a_place_that_is_missing_or_a_link_is_an_error_and_nothing_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("/", &link).unwrap();
        let mut done = false;
        for place in [dir.path().join("missing"), link] {
            assert!(write_only_below(&[&place], || done = true).is_err());
        }
        assert!(!done);
    }
}
