//! A browser in a sandbox, in a desktop of a mission's own: what is asked for and what arrives at the page are compared
//! as they are on the machine itself, through the server's own input and output.

use sandboxed_domain::api::ExecParams;
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::mcp::McpServer;
use sandboxed_testkit::page::{EVENTS, Page, long_text_arrives, random_actions_arrive};
use sandboxed_testkit::stub::Script;
use serde_json::json;
use tokio::process::Command;

use crate::agents::{Stage, end_of, processes_of};
use crate::missions::workspace;

/// The mission: the server, with pipes that the test has the other ends of.
const SERVER: &str =
    "cd \"$HOME\" && mkfifo in out && touch ready && exec /opt/sandboxed-sh/bin/desktop-mcp < in > out";
/// The other ends, as a server that is a child.
const PIPES: &str = "cat out & cat > in; wait";
/// What is left in the sandbox of desktops and of programs.
const LEFT: &str = "find /tmp /dev/shm -mindepth 1 -maxdepth 1 ! -name .X11-unix ! -name 'sbx-*'; \
    find /tmp/.X11-unix -mindepth 1; for one in /proc/[0-9]*/exe; do readlink $one; done | grep -Ev '/(dash|readlink|grep)$'";

/// Starts the browser as anybody would, over the whole screen, does things to its page, and ends the desktop.
async fn browse(server: &McpServer, fragment: &str, acts: impl AsyncFnOnce(&McpServer, &mut Page)) {
    let mut page = Page::serve(EVENTS).await;
    let desktop = server.data("start_desktop", json!({})).await;
    assert_eq!(desktop.get("notes"), None, "nothing is missing in the image");
    let command = format!("exec chromium --kiosk {}{fragment}", page.url());
    let launched = server.data("launch_program", json!({"command": command, "wait_seconds": 60})).await;
    assert_eq!(launched["status"], "window", "{launched}");
    page.ready(server).await;
    acts(server, &mut page).await;
    server.data("stop_desktop", json!({"desktop": desktop["desktop"]})).await;
}

#[tokio::test]
async fn what_is_done_in_a_sandbox_arrives_at_a_page_as_it_was_asked_for() {
    let stage = Stage::new(&[], Script::default()).await;
    let workspace = workspace(&stage, "browsing").await;
    let worker =
        json!({"title": "browser", "backend": "command", "prompt": SERVER, "workspace_id": workspace});
    let id = stage.worker(worker).await;
    let ready = stage.made(id, "ready").await;
    let mut pipes = Command::new("sh");
    pipes.args(["-c", PIPES]).current_dir(ready.parent().unwrap()).kill_on_drop(true);
    let server = McpServer::start(pipes).await;
    browse(&server, "", async |server, page| random_actions_arrive(server, page, 200).await).await;
    // Again, with the profile that the first one left when it was ended.
    browse(&server, "#text", async |server, page| long_text_arrives(server, page).await).await;
    server.leave().await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let left = processes_of(id);
    assert!(left.is_empty(), "{left:#?}");
    let look = ExecParams { argv: ["sh", "-c", LEFT].map(str::to_owned).into(), ..Default::default() };
    let found = stage.daemon.client().exec(&workspace, &look).await.unwrap();
    assert_eq!((found.stdout.as_str(), found.stderr.as_str()), ("", ""), "in the sandbox");
    stage.finish().await;
}
