//! Desktops begin whole and end without a trace, whoever is killed.

use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::json;
use tempfile::TempDir;

use crate::stage::{Server, Stage, Traces, program, socket};

/// Processes whose environment or arguments name a directory.
pub fn processes_of(directory: &Path) -> Vec<Pid> {
    let needle = directory.to_str().unwrap().as_bytes();
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let Ok(pid) = name.parse::<i32>() else { continue };
        let mut said = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        said.extend(std::fs::read(entry.path().join("cmdline")).unwrap_or_default());
        if name != own && said.windows(needle.len()).any(|window| window == needle) {
            found.push(Pid::from_raw(pid).unwrap());
        }
    }
    found
}

/// Waits for the end of processes.
pub async fn gone(pids: Vec<Pid>) {
    for pid in pids {
        if let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) {
            let ended = tokio::task::spawn_blocking(move || {
                poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&Timespec { tv_sec: 60, tv_nsec: 0 }))
            });
            assert_eq!(ended.await.unwrap(), Ok(1), "{pid:?} {} ends", name_of(pid));
        }
    }
}

pub fn name_of(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_desktop_has_what_belongs_to_it_and_a_client_that_leaves_leaves_nothing() {
    let stage = Stage::sized(json!({"width": 1000, "height": 700, "dpi": 120})).await;
    assert_eq!((&stage.desktop["width"], &stage.desktop["height"]), (&json!(1000), &json!(700)));
    assert_eq!(stage.desktop.get("notes"), None, "nothing is missing on this machine");
    let processes = processes_of(stage.dir.path());
    let mut names: Vec<_> = processes.iter().map(|pid| name_of(*pid)).collect();
    names.sort();
    for part in ["Xvfb", "dbus-daemon", "openbox"] {
        assert!(names.iter().any(|name| name == part), "{part}: {names:?}");
    }
    stage.finish().await;
    gone(processes).await;
}

#[tokio::test]
async fn two_desktops_are_apart_and_end_apart() {
    let stage = Stage::new().await;
    let second = stage.server.data("start_desktop", json!({})).await;
    assert_ne!(second["display"], stage.desktop["display"]);
    let traces = Traces::of(&second);
    let stopped = stage.server.data("stop_desktop", json!({"desktop": second["desktop"]})).await;
    assert_eq!(stopped["stopped"], second["desktop"]);
    traces.assert_gone();
    let left = stage.server.data("list_desktops", json!({})).await;
    assert_eq!(left["desktops"], json!([stage.desktop]));
    let again = stage.server.problem("stop_desktop", json!({"desktop": second["desktop"]})).await;
    assert_eq!(again["code"], "unknown_desktop");
    stage.finish().await;
}

#[tokio::test]
async fn nobody_without_the_cookie_gets_in() {
    let stage = Stage::new().await;
    let display = stage.desktop["display"].as_str().unwrap();
    let stream = std::os::unix::net::UnixStream::connect(socket(display)).unwrap();
    let (stream, _) = x11rb::rust_connection::DefaultStream::from_unix_stream(stream).unwrap();
    let refused = x11rb::rust_connection::RustConnection::connect_to_stream(stream, 0);
    assert!(refused.is_err(), "an X server of a desktop asks for its cookie");
    stage.finish().await;
}

/// Those of a desktop that keep it: its guard, and the keeper below it.
fn keepers(processes: &[Pid]) -> [Pid; 2] {
    let text =
        |pid: &Pid, file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_nonzero()));
    let parent = |pid: &Pid| {
        let stat = text(pid, "stat").unwrap();
        let fields = stat.rsplit_once(')').unwrap().1;
        fields.split_whitespace().nth(1).unwrap().parse().ok().and_then(Pid::from_raw)
    };
    let keeps = |pid: &&Pid| text(pid, "cmdline").unwrap().contains("keep-desktop");
    let found: Vec<Pid> = processes.iter().filter(keeps).copied().collect();
    let keeper = *found.iter().find(|pid| parent(pid).is_some_and(|other| found.contains(&other))).unwrap();
    [parent(&keeper).unwrap(), keeper]
}

/// A program that leaves a temporary file, its parents, its session and the display behind, and says when it has.
const ESCAPE: &str = "cd \"$XDG_RUNTIME_DIR\" && mktemp > made && mkfifo up && (setsid sh -c 'sleep 1000 & echo > up; sleep 1000' \
    >/dev/null 2>&1 &) && read -r _ < up";

/// The temporary file that it left.
fn temporary(runtime: &Path) -> PathBuf {
    let desktop = std::fs::read_dir(runtime).unwrap().next().unwrap().unwrap().path();
    std::fs::read_to_string(desktop.join("run/made")).unwrap().trim().into()
}

#[tokio::test]
async fn nothing_is_left_whoever_is_killed() {
    for (server_too, guard_too, keeper_too) in [
        (true, false, false),
        (false, true, false),
        (false, false, true),
        (true, false, true),
        (true, true, false),
        (false, true, true),
        (true, true, true),
    ] {
        let about = format!("server {server_too}, guard {guard_too}, keeper {keeper_too}");
        let dir = TempDir::new().unwrap();
        let server = Server::start(program(dir.path())).await;
        let desktop = server.data("start_desktop", json!({})).await;
        let traces = Traces::of(&desktop);
        server.data("launch_program", json!({"command": ESCAPE, "wait_seconds": 60})).await;
        let made = temporary(dir.path());
        assert!(made.exists(), "{made:?}: {about}");
        let mut processes = processes_of(dir.path());
        assert!(
            processes.len() >= 8,
            "server, two keepers, X server, bus, window manager, the two that escaped: {about}"
        );
        let [guard, keeper] = keepers(&processes);
        for pid in
            [(guard, guard_too), (keeper, keeper_too)].iter().filter(|(_, too)| *too).map(|(pid, _)| pid)
        {
            kill_process(*pid, Signal::KILL).unwrap();
        }
        let server = if server_too {
            server.kill().await;
            None
        } else {
            processes.retain(|pid| pid.as_raw_nonzero().get() != server.pid());
            Some(server)
        };
        let killed = [(guard, guard_too), (keeper, keeper_too)];
        // A process that is killed holds its desktop until it has ended.
        gone(killed.into_iter().filter(|(_, too)| *too).map(|(pid, _)| pid).collect()).await;
        let next = if guard_too && keeper_too {
            // Nobody is there who could end it: whoever starts the next desktop does.
            let next = match server {
                Some(server) => server,
                None => Server::start(program(dir.path())).await,
            };
            next.data("start_desktop", json!({})).await;
            Some(next)
        } else {
            server
        };
        gone(processes).await;
        if let Some(server) = next {
            let problem = server.call("screenshot", json!({"desktop": desktop["desktop"]})).await;
            assert!(server_too || problem.text().contains("desktop_ended"), "{about}: {problem:?}");
            server.leave().await;
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "its directory too: {about}");
        assert!(!made.exists(), "{made:?} is left: {about}");
        traces.assert_gone();
    }
}

#[tokio::test]
async fn a_desktop_whose_x_server_died_says_so_and_takes_its_programs_with_it() {
    let mut stage = Stage::new().await;
    let processes = processes_of(stage.dir.path());
    let server = *processes.iter().find(|pid| name_of(**pid) == "Xvfb").unwrap();
    let others: Vec<_> = processes.into_iter().filter(|pid| name_of(*pid) != "desktop-mcp").collect();
    kill_process(server, Signal::KILL).unwrap();
    gone(others).await;
    for (tool, arguments) in
        [("screenshot", json!({"desktop": "d1"})), ("list_windows", json!({"desktop": "d1"}))]
    {
        let problem = stage.server.problem(tool, arguments).await;
        assert_eq!(problem["code"], "desktop_ended", "{problem}");
    }
    assert_eq!(stage.server.data("list_desktops", json!({})).await["desktops"][0]["running"], false);
    // The number of the dead one may be somebody else's by now.
    stage.desktop = stage.server.data("start_desktop", json!({})).await;
    stage.server.text("screenshot", json!({"desktop": stage.desktop["desktop"]})).await;
    stage.finish().await;
}

#[tokio::test]
async fn without_an_x_server_the_package_is_named() {
    let dir = TempDir::new().unwrap();
    let mut command = program(dir.path());
    command.env("PATH", dir.path());
    let server = Server::start(command).await;
    let problem = server.problem("start_desktop", json!({})).await;
    assert_eq!(problem["code"], "not_installed");
    assert!(problem["hint"].as_str().unwrap().contains("xvfb"), "{problem}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    server.leave().await;
}
