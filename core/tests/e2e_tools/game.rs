//! The game of tasks in a sandbox, in desktops of a mission's own: see [`sandboxed_testkit::game`].

use sandboxed_testkit::game::Game;
use serde_json::json;

use crate::inside::Inside;

async fn play(inside: &Inside, won: impl AsyncFnOnce(Game<'_>)) {
    let desktop = inside.server.data("start_desktop", json!({})).await;
    assert_eq!(desktop.get("notes"), None, "nothing is missing in the image");
    won(Game::begin(&inside.server, "exec chromium", "", &inside.files).await).await;
    inside.server.data("stop_desktop", json!({"desktop": desktop["desktop"]})).await;
}

#[tokio::test]
async fn the_game_is_won_in_a_sandbox_by_pixels_and_by_refs() {
    let inside = Inside::start("gaming").await;
    play(&inside, async |game| game.is_won_by_pixels().await).await;
    play(&inside, async |game| game.is_won_by_refs().await).await;
    inside.finish().await;
}
