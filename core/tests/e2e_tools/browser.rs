//! A browser in a sandbox, in a desktop of a mission's own: what is asked for and what arrives at the page are compared
//! as they are on the machine itself.

use sandboxed_testkit::mcp::McpServer;
use sandboxed_testkit::page::{EVENTS, Page, long_text_arrives, random_actions_arrive};
use serde_json::json;

use crate::inside::Inside;

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
    let inside = Inside::start("browsing").await;
    browse(&inside.server, "", async |server, page| random_actions_arrive(server, page, 200).await).await;
    // Again, with the profile that the first one left when it was ended.
    browse(&inside.server, "#text", async |server, page| long_text_arrives(server, page).await).await;
    inside.finish().await;
}
