//! What `doctor` tries by way of the runner: it works here, fails without the rights it needs, and leaves nothing.

use std::path::Path;
use std::process::{Command, Output};

use sandbox_runner::launch::trial::TRIALS;

use crate::support::PROGRAM;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").unwrap()
}

#[test]
fn every_trial_works_here_and_leaves_no_mount() {
    for what in TRIALS {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(PROGRAM).args(["try", what]).arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "{what}: {}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{what}");
        assert!(!mounts().contains(dir.path().to_str().unwrap()), "{what}");
    }
}

#[test]
fn without_the_rights_of_root_a_trial_fails_and_says_at_which_step() {
    for (what, step) in [
        ("user-namespace", "idmap: /proc/"),
        ("idmapped-mount", "namespace: unshare"),
        ("overlay", "namespace: unshare"),
        ("network-namespace", "unshare"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--", PROGRAM, "try", what]).arg(dir.path());
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{what}: {}", said(&output));
        assert!(said(&output).starts_with(step), "{what}: {}", said(&output));
    }
}

#[test]
fn an_unknown_trial_and_a_missing_directory_are_told() {
    for words in [["nothing", "/"].as_slice(), &["overlay"], &["idmapped-mount", "/no/such/directory"]] {
        let output = Command::new(PROGRAM).arg("try").args(words).output().unwrap();
        assert!(!output.status.success() && !said(&output).is_empty(), "{words:?}");
    }
    assert!(!Path::new("/no").exists());
}
