//! Start, adopt, stop, and what is left.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sandboxed_core::sandbox::{HostRunner, START_PATIENCE, Sandbox, SandboxError, Stopped, remove_leftovers};
use sandboxed_domain::api::ErrorCode;
use sandboxed_domain::sandbox::Bind;

use crate::support::{PATIENCE, Place, finish, runner, say, script, wait_exit};

/// Fails when anything of the machine is left: process, mount, cgroup, or file of nspawn's.
fn assert_nothing_left(place: &Place) {
    let machine = &place.spec.machine;
    let ours = format!("--machine={machine}");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|b| *b == 0);
        assert!(!words.any(|w| w == ours.as_bytes()), "process {:?}", entry.path());
    }
    let here = place.dir.path().to_str().unwrap();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        assert!(!mounts.contains(here), "{:?} still has a mount of it", entry.path());
    }
    assert!(!place.tree.machines().unwrap().contains(machine), "a cgroup");
    for kind in ["propagate", "unix-export"] {
        assert!(!Path::new("/run/systemd/nspawn").join(kind).join(machine).exists(), "{kind}");
    }
    assert!(!place.spec.control.join("runner.sock").exists());
    let beside = fs::read_dir(place.dir.path()).unwrap().flatten().map(|e| e.file_name());
    let locks: Vec<_> = beside.filter(|name| name.to_string_lossy().starts_with(".#")).collect();
    assert!(locks.is_empty(), "{locks:?}");
}

#[tokio::test]
async fn a_sandbox_that_stops_leaves_nothing() {
    let place = Place::new("stop");
    let sandbox = place.start().await;
    let long = sandbox.runner().start_run(script("long", "setsid sleep 600 & sleep 600")).await.unwrap();
    assert!(sandbox.is_alive());
    assert_eq!(sandbox.stop(Duration::from_millis(200)).await.unwrap(), Stopped::ByItself);
    assert!(!sandbox.is_alive());
    let ended = wait_exit(&long.dir).await;
    assert!(ended.exit.signal.is_some(), "{ended:?}");
    assert_nothing_left(&place);
    sandbox.stop(Duration::ZERO).await.unwrap();
    // And it can start again, at the same place.
    let again = place.start().await;
    assert_eq!(say(again.runner(), "echo again").await, "again\n");
    again.stop(Duration::ZERO).await.unwrap();
    assert_nothing_left(&place);
}

#[tokio::test]
async fn a_runner_that_does_not_answer_is_killed_and_leaves_nothing() {
    let place = Place::new("stuck");
    let sandbox = place.start().await;
    let (init, outer) = (sandbox.record().init.pid, sandbox.record().outer.pid);
    // SAFETY: a plain signal to a process of this test.
    assert_eq!(unsafe { libc::kill(init, libc::SIGSTOP) }, 0);
    assert_eq!(sandbox.stop(Duration::ZERO).await.unwrap(), Stopped::Killed);
    assert_nothing_left(&place);
    assert!(!Path::new(&format!("/proc/{outer}/root/usr")).exists());
}

#[tokio::test]
async fn a_killed_nspawn_is_no_lost_sandbox() {
    let place = Place::new("orphan");
    let sandbox = place.start().await;
    // SAFETY: a plain signal to a process of this test.
    assert_eq!(unsafe { libc::kill(sandbox.record().outer.pid, libc::SIGKILL) }, 0);
    assert_eq!(say(sandbox.runner(), "echo still").await, "still\n");
    sandbox.stop(Duration::ZERO).await.unwrap();
    assert_nothing_left(&place);
}

#[tokio::test]
async fn a_sandbox_without_a_record_is_found_by_its_groups_and_ended() {
    let place = Place::new("unknown");
    let sandbox = place.start().await;
    let machine = place.spec.machine.clone();
    let kept = remove_leftovers(&place.tree, &BTreeSet::from([machine.clone()])).await.unwrap();
    assert!(kept.is_empty() && sandbox.is_alive());
    fs::remove_file(sandbox.runner().files().record()).unwrap();
    assert_eq!(remove_leftovers(&place.tree, &BTreeSet::new()).await.unwrap(), [machine]);
    sandbox.died().await.unwrap();
    fs::remove_file(sandbox.runner().files().socket()).unwrap();
    assert_nothing_left(&place);
}

#[tokio::test]
async fn a_death_is_told_at_once() {
    let place = Place::new("death");
    let sandbox = place.start().await;
    let told = sandbox.died();
    // SAFETY: a plain signal to a process of this test.
    assert_eq!(unsafe { libc::kill(sandbox.record().init.pid, libc::SIGKILL) }, 0);
    tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
    assert!(!sandbox.is_alive());
    let error = sandbox.runner().start_run(script("late", "true")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::RunnerLost);
    assert!(Sandbox::adopt(&place.spec.control, &place.tree).await.unwrap().is_none());
    assert_nothing_left(&place);
}

/// The child half of the next test: a daemon that starts a sandbox with a run and is killed.
#[tokio::test]
#[ignore = "started by another test"]
async fn daemon_that_will_be_killed() {
    let Some(spec) = std::env::var_os("TEST_SPEC") else { return };
    let spec = serde_json::from_slice(&fs::read(spec).unwrap()).unwrap();
    let tree = sandboxed_core::sandbox::CgroupTree::detect(&std::env::var("TEST_INSTANCE").unwrap()).unwrap();
    let sandbox = Sandbox::start(&spec, &tree, START_PATIENCE).await.unwrap();
    sandbox.runner().start_run(script("before", "echo begun; read x; echo ended $x")).await.unwrap();
    let mut request = script("fed", "read x; echo got $x");
    request.stdin_pipe = true;
    sandbox.runner().start_run(request).await.unwrap();
    // SAFETY: the signal ends this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

#[tokio::test]
async fn a_sandbox_outlives_a_killed_daemon_and_is_adopted() {
    let place = Place::new("adopt");
    let spec = place.dir.path().join("spec.json");
    fs::write(&spec, serde_json::to_vec(&place.spec).unwrap()).unwrap();
    let instance = place.tree.instance().to_owned();
    let daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "lifecycle::daemon_that_will_be_killed"])
        .env("TEST_SPEC", &spec)
        .env("TEST_INSTANCE", instance)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(!daemon.success());

    let sandbox = Sandbox::adopt(&place.spec.control, &place.tree).await.unwrap().unwrap();
    let error = Sandbox::start(&place.spec, &place.tree, START_PATIENCE).await.unwrap_err();
    assert!(matches!(error, SandboxError::AlreadyRunning { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Conflict);
    let known: Vec<String> = sandbox.runner().hello().await.unwrap().into_iter().map(|r| r.run_id).collect();
    assert!(known.contains(&"fed".to_owned()), "{known:?}");

    // The repeated start of a known run is the same run.
    let mut request = script("fed", "echo another");
    request.stdin_pipe = true;
    let again = sandbox.runner().start_run(request).await.unwrap();
    sandbox.runner().write_stdin("fed", 0, "word\n").await.unwrap();
    sandbox.runner().write_stdin("fed", 0, "word\n").await.unwrap();
    assert_eq!(wait_exit(&again.dir).await.stdout, "got word\n");
    sandbox.stop(Duration::ZERO).await.unwrap();
    assert_nothing_left(&place);
}

#[tokio::test]
async fn a_failing_step_is_named_and_leaves_nothing() {
    let mut place = Place::new("fail");
    place.spec.image = place.dir.path().join("no-image");
    let error = Sandbox::start(&place.spec, &place.tree, START_PATIENCE).await.unwrap_err();
    match &error {
        SandboxError::Launch { failure, .. } => assert_eq!(failure.step, "idmap", "{error}"),
        other => panic!("{other}"),
    }
    assert_nothing_left(&place);

    // nspawn's own refusal comes with its words: it cannot make a place within a bind.
    place.spec.image = place.dir.path().join("image");
    let outer = place.bind_dir("outer", 0);
    place.spec.binds.push(Bind { target: outer.join("missing"), ..Bind::same_path(&outer) });
    let error = Sandbox::start(&place.spec, &place.tree, START_PATIENCE).await.unwrap_err();
    match &error {
        SandboxError::DiedEarly { log, .. } => assert!(log.contains("outer/missing"), "{log}"),
        other => panic!("{other}"),
    }
    assert_nothing_left(&place);
}

#[tokio::test]
async fn a_runner_that_needs_libraries_is_refused_before_anything_is_made() {
    let mut place = Place::new("dynamic");
    place.spec.runner = fs::canonicalize("/bin/true").unwrap();
    let error = Sandbox::start(&place.spec, &place.tree, START_PATIENCE).await.unwrap_err();
    assert!(matches!(error, SandboxError::RunnerNotStatic { .. }));
    assert_eq!(error.code(), ErrorCode::SandboxUnavailable);
    assert!(!place.spec.layer.exists());
}

#[tokio::test]
async fn the_hosts_runner_is_found_again_and_its_runs_have_groups() {
    let place = Place::new("host");
    let control = place.dir.path().join("host/control");
    let first = HostRunner::ensure(&runner(), &control, Some(&place.tree), START_PATIENCE).await.unwrap();
    let mut request = script("r", "cat /proc/self/cgroup");
    request.limits.pids = Some(50);
    let ended = finish(first.runner(), request).await;
    assert!(ended.stdout.contains("/host/r\n"), "{ended:?}");
    drop(first);
    let second = HostRunner::ensure(&runner(), &control, Some(&place.tree), START_PATIENCE).await.unwrap();
    assert_eq!(second.runner().status("r").await.unwrap().exit.unwrap().exit_code, Some(0));
    second.stop(Duration::ZERO).await.unwrap();
    assert!(!second.is_alive() && place.tree.machines().unwrap().is_empty());
}

#[tokio::test]
async fn many_sandboxes_start_and_stop_at_once() {
    const MANY: usize = 16;
    let places: Vec<Place> = (0..MANY).map(|n| Place::new(&format!("many-{n}"))).collect();
    let begun = std::time::Instant::now();
    let sandboxes = futures::future::join_all(places.iter().map(Place::start)).await;
    eprintln!("{MANY} sandboxes ready after {:?}", begun.elapsed());
    let said = futures::future::join_all(
        sandboxes.iter().map(|s| finish(s.runner(), script("r", "cat /proc/self/uid_map"))),
    )
    .await;
    let mut ranges: Vec<String> = said.into_iter().map(|ended| ended.stdout).collect();
    ranges.sort();
    ranges.dedup();
    assert_eq!(ranges.len(), MANY, "each has ids of its own");
    for stopped in futures::future::join_all(sandboxes.iter().map(|s| s.stop(Duration::ZERO))).await {
        stopped.unwrap();
    }
    for place in &places {
        assert_nothing_left(place);
    }
}

/// Sandboxes made and ended by the next test; `SANDBOXED_SH_TEST_CYCLES` for a long run.
const CYCLES: u32 = 24;

/// Everything of the machine that a sandbox could leave behind, counted; and this process's own descriptors.
fn inventory() -> [usize; 5] {
    let count = |path: &str| fs::read_dir(path).map_or(0, Iterator::count);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let nspawn =
        ["propagate", "unix-export", "locks"].map(|kind| count(&format!("/run/systemd/nspawn/{kind}")));
    let zombies = sandboxed_core::sandbox::process::children(std::process::id() as i32).len();
    [mounts, nspawn.iter().sum(), zombies, count("/proc/self/fd"), count("/dev/shm")]
}

#[tokio::test]
async fn cycles_with_kills_at_any_moment_leave_nothing() {
    let cycles = std::env::var("SANDBOXED_SH_TEST_CYCLES").map_or(CYCLES, |text| text.parse().unwrap());
    let mut place = Place::new("cycles");
    place.spec.network = sandboxed_domain::sandbox::Network::None;
    // Whatever is made once is made by now.
    place.start().await.stop(Duration::ZERO).await.unwrap();
    let (begun, before) = (std::time::Instant::now(), inventory());
    for cycle in 0..cycles {
        let sandbox = place.start().await;
        sandbox.runner().start_run(script("r", "setsid sleep 600 & exec sleep 600")).await.unwrap();
        let (init, outer) = (sandbox.record().init.pid, sandbox.record().outer.pid);
        let victims: &[i32] = match cycle % 6 {
            0 => &[],
            1 => &[init],
            2 => &[outer],
            3 => &[outer, init],
            4 => &[init, outer],
            _ => {
                // Its daemon died as well: the next one finds it by its group alone.
                fs::remove_file(sandbox.runner().files().record()).unwrap();
                remove_leftovers(&place.tree, &BTreeSet::new()).await.unwrap();
                &[]
            }
        };
        for victim in victims {
            // SAFETY: a plain signal to a process of this test.
            unsafe { libc::kill(*victim, libc::SIGKILL) };
        }
        sandbox.stop(Duration::ZERO).await.unwrap();
        assert!(place.tree.machines().unwrap().is_empty(), "cycle {cycle} left a group");
    }
    assert_nothing_left(&place);
    let after = inventory();
    println!("{cycles} cycles in {:?}: {before:?} before, {after:?} after", begun.elapsed());
    // Other tests of this machine come and go: what is left over would grow with the cycles.
    for (what, (before, after)) in before.iter().zip(after).enumerate() {
        assert!(after < before + cycles as usize / 2, "count {what} grew from {before} to {after}");
    }
}
