//! Cgroups against the kernel's own. Needs root.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandboxed_core::sandbox::cgroup::{CgroupTree, Controller, Group, LimitEvent, Version};
use sandboxed_domain::sandbox::Limits;

/// A tree of its own for each test, removed when it ends.
struct Tree(CgroupTree);

impl Tree {
    fn new(name: &str) -> Self {
        Self(CgroupTree::detect(&format!("test-{name}-{}", std::process::id())).unwrap())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        for name in self.0.machines().unwrap() {
            self.0.machine(&name).unwrap().remove().unwrap();
        }
        self.0.remove_if_empty().unwrap();
    }
}

fn spawn_in(group: &Group, script: &str) -> Child {
    let fds: Vec<OwnedFd> = group.join_fds().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
    let join = move || {
        for fd in &fds {
            // SAFETY: `fd` is open until the closure is dropped.
            if unsafe { libc::write(fd.as_raw_fd(), c"0".as_ptr().cast(), 1) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: write(2) is async-signal-safe.
    unsafe { command.pre_exec(join) }.spawn().unwrap()
}

#[tokio::test]
async fn a_fork_beyond_the_limit_is_refused_counted_and_told() {
    let tree = Tree::new("pids");
    let machine = tree.0.machine("m").unwrap();
    machine.create(&Limits::default()).unwrap();
    let run = machine.create_run("r", &Limits { pids: Some(5), ..Limits::default() }).unwrap();
    let mut watch = run.watch_limits().unwrap();
    assert_eq!(run.refused_forks().unwrap(), 0);
    let mut child = spawn_in(&run, "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; wait");
    let event = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap().unwrap();
    assert_eq!(event, LimitEvent::ForkRefused);
    assert!(run.refused_forks().unwrap() > 0);
    assert_eq!(run.oom_kills().unwrap(), 0);
    run.kill_all().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(run.processes().unwrap().is_empty());
}

#[tokio::test]
async fn memory_beyond_the_limit_kills_and_is_counted_and_told() {
    let tree = Tree::new("memory");
    let machine = tree.0.machine("m").unwrap();
    machine.create(&Limits::default()).unwrap();
    let run = machine.create_run("r", &Limits { memory_bytes: Some(32 << 20), ..Limits::default() }).unwrap();
    let mut watch = run.watch_limits().unwrap();
    let mut child = spawn_in(&run, "exec head -c 200m /dev/zero | tail");
    let event = tokio::time::timeout(Duration::from_secs(20), watch.next()).await.unwrap().unwrap();
    assert_eq!(event, LimitEvent::OutOfMemory);
    child.wait().unwrap();
    assert_eq!(run.oom_kills().unwrap(), 1);
    let usage = run.usage().unwrap();
    assert!(usage.memory_peak_bytes > 16 << 20 && usage.memory_peak_bytes <= 32 << 20, "{usage:?}");
    assert!(usage.cpu_micros > 0);
}

#[test]
fn processor_time_is_limited() {
    let tree = Tree::new("cpu");
    let machine = tree.0.machine("m").unwrap();
    machine.create(&Limits::default()).unwrap();
    let run = machine.create_run("r", &Limits { cpu_millis: Some(200), ..Limits::default() }).unwrap();
    let begun = Instant::now();
    let mut child = spawn_in(&run, "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done");
    child.wait().unwrap();
    let (spent, used) = (begun.elapsed().as_micros() as u64, run.usage().unwrap().cpu_micros);
    assert!(used > 50_000, "the work must be long enough to tell: {used}");
    assert!(used * 2 < spent, "{used} µs of processor time in {spent} µs");
}

#[test]
fn removal_ends_what_still_runs_and_leaves_no_group() {
    let tree = Tree::new("remove");
    let machine = tree.0.machine("m").unwrap();
    machine.create(&Limits::default()).unwrap();
    let run = machine.create_run("r", &Limits::default()).unwrap();
    let mut child = spawn_in(&run, "sh -c 'setsid sleep 60 & setsid sleep 60 & wait'");
    // The shell has joined before it executes, so it is a member as soon as spawn returns.
    assert!(run.processes().unwrap().contains(&(child.id() as i32)));
    machine.remove().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(!run.exists() && !machine.whole().exists());
    assert!(tree.0.machines().unwrap().is_empty());
}

#[test]
fn the_stop_control_ends_a_group_through_a_descriptor_alone() {
    let tree = Tree::new("stop");
    let machine = tree.0.machine("m").unwrap();
    machine.create(&Limits::default()).unwrap();
    let run = machine.create_run("r", &Limits::default()).unwrap();
    let mut child = spawn_in(&run, "sleep 60");
    let stop = run.stop_control().unwrap();
    File::from(stop.fd).write_all(stop.payload.as_bytes()).unwrap();
    if stop.payload == "0" {
        run.kill_all().unwrap();
    }
    assert!(!child.wait().unwrap().success());
}

#[test]
fn leftovers_of_an_instance_are_found_by_their_place() {
    let tree = Tree::new("leftovers");
    let machine = tree.0.machine("old").unwrap();
    machine.create(&Limits::default()).unwrap();
    machine.create_run("r-1", &Limits::default()).unwrap();
    let again = CgroupTree::detect(&format!("test-leftovers-{}", std::process::id())).unwrap();
    assert_eq!(again.machines().unwrap().into_iter().collect::<Vec<_>>(), ["old"]);
    assert_eq!(again.machine("old").unwrap().runs().unwrap().into_iter().collect::<Vec<_>>(), ["r-1"]);
}

#[test]
fn a_name_that_is_a_path_is_refused() {
    for bad in ["", "..", "a/b", "cgroup.procs", "tasks"] {
        assert!(CgroupTree::detect(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn all_sandboxes_of_a_daemon_together_leave_the_machine_room() {
    let tree = Tree::new("share");
    tree.0.machine("m").unwrap().create(&Limits::default()).unwrap();
    let limit = |controller: Controller, v1: &str, v2: &str| {
        let hierarchy = tree.0.hierarchies().with(controller).unwrap();
        let file = if hierarchy.version == Version::V1 { v1 } else { v2 };
        let dir = hierarchy.root.join("sandboxed-sh").join(tree.0.instance());
        let read = |file: std::path::PathBuf| std::fs::read_to_string(file).unwrap().trim().parse::<u64>();
        (read(dir.join(file)), read(dir.join("m").join(file)))
    };
    let (all, one) = limit(Controller::Memory, "memory.limit_in_bytes", "memory.max");
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = info.lines().next().unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10;
    let all = all.unwrap();
    assert!(all < total && all > total / 2, "{all} of {total}");
    assert!(one.is_err() || one.unwrap() > total, "a sandbox itself has the limit that was asked for: none");
    let (all, one) = limit(Controller::Pids, "pids.max", "pids.max");
    assert!(all.unwrap() > 1000 && one.is_err());
}
