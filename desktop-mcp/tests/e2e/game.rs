//! The game of tasks on this machine itself: see [`sandboxed_testkit::game`].

use sandboxed_testkit::game::Game;
use tempfile::TempDir;

use crate::browser::FLAGS;
use crate::stage::Stage;

async fn play(won: impl AsyncFnOnce(Game<'_>)) {
    let (stage, files) = (Stage::new().await, TempDir::new().unwrap());
    let browser =
        format!("exec chromium {FLAGS} --test-type --disable-dev-shm-usage --user-data-dir=\"$PWD/profile\"");
    let directory = files.path().to_str().unwrap();
    won(Game::begin(&stage.server, &browser, directory, files.path()).await).await;
    stage.finish().await;
}

#[tokio::test]
async fn the_game_is_won_by_pixels_only() {
    play(async |game| game.is_won_by_pixels().await).await;
}

#[tokio::test]
async fn the_game_is_won_by_refs() {
    play(async |game| game.is_won_by_refs().await).await;
}
