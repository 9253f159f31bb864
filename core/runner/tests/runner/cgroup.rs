//! Runs in control groups (v1, which lets a test make them anywhere).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sandbox_runner::protocol::*;

use crate::support::*;

/// A group of the `pids` and one of the `freezer` hierarchy; removed at the end, which fails while a process is in it.
struct Groups([PathBuf; 2]);

impl Groups {
    /// None where they cannot be made; says so.
    fn new(name: &str) -> Option<Self> {
        let name = format!("runner-test-{}-{name}", std::process::id());
        let groups = ["pids", "freezer"].map(|c| Path::new("/sys/fs/cgroup").join(c).join(&name));
        if groups.iter().any(|group| fs::create_dir(group).is_err()) {
            eprintln!("skipped: needs writable cgroup v1 hierarchies");
            return None;
        }
        Some(Self(groups))
    }

    fn start(&self, control: &Control, mut start: StartRun) -> RunState {
        let write = |path: PathBuf| File::options().write(true).open(path).unwrap();
        let [pids, freezer] = &self.0;
        let join = [write(pids.join("cgroup.procs")), write(freezer.join("cgroup.procs"))];
        let list = File::open(freezer.join("cgroup.procs")).unwrap();
        let stop = write(pids.join("pids.max"));
        (start.join_fds, start.has_procs_fd, start.stop_payload) = (2, true, Some("0".into()));
        control.start(start, &[join[0].as_fd(), join[1].as_fd(), list.as_fd(), stop.as_fd()])
    }

    fn members(&self) -> String {
        fs::read_to_string(self.0[1].join("cgroup.procs")).unwrap()
    }

    fn remove(&self) -> io::Result<()> {
        self.0.iter().try_for_each(fs::remove_dir)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// Four sessions that ignore TERM, one of which grows all the time; `head` ends when all of them have begun.
const STUBBORN: &str = "trap '' TERM
    { for i in 1 2 3; do setsid sh -c 'setsid sleep 1000 & echo up; wait; sleep 1000' & done
      setsid sh -c 'echo up; while :; do setsid sleep 1000 & sleep 0.01; done' & } | head -n 4; ";

#[test]
fn stop_leaves_nothing_of_a_run_that_hides_in_sessions_of_its_own() {
    let Some(groups) = Groups::new("stop") else { return };
    let host = Host::new();
    groups.start(
        &host.control,
        plan("stubborn", &["sh", "-c", &format!("{STUBBORN} while :; do sleep 1; done")]),
    );
    wait_for_text(&host.control.run_dir("stubborn").join("stdout.log"), "up\nup\nup\nup\n");
    assert!(groups.members().lines().count() >= 7, "{}", groups.members());
    host.control.ask(&Request::Stop { run_id: "stubborn".into(), grace_ms: 100, reason: "stopped".into() });
    let exit = host.control.exit("stubborn");
    assert_eq!((exit.signal, exit.reason.as_deref()), (Some(libc::SIGKILL), Some("stopped")));
    groups.remove().unwrap();
}

#[test]
fn what_outlives_the_first_process_is_killed_and_counted_before_the_record() {
    let Some(groups) = Groups::new("left") else { return };
    let host = Host::new();
    groups.start(&host.control, plan("left", &["sh", "-c", &format!("{STUBBORN} exit 4")]));
    let exit = host.control.exit("left");
    groups.remove().unwrap();
    assert_eq!((exit.exit_code, exit.reason), (Some(4), None));
    assert!(exit.leftovers_killed >= 7, "{}", exit.leftovers_killed);
}

#[test]
fn a_group_that_cannot_be_joined_is_the_reason() {
    let host = Host::new();
    let read_only = File::open("/dev/null").unwrap();
    let mut start = plan("join", &["true"]);
    start.join_fds = 1;
    host.control.start(start, &[read_only.as_fd()]);
    let reason = host.control.exit("join").reason.unwrap();
    assert_eq!(reason, "spawn: joining the control group: Bad file descriptor (os error 9)");
}
