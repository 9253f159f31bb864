//! A browser with a page that tells everything that it gets: what was asked for and what arrived are compared.

use sandboxed_testkit::page::{EVENTS, Page, long_text_arrives, random_actions_arrive};
use serde_json::json;

use crate::stage::Stage;

/// What a browser needs here, and what would disturb.
pub const FLAGS: &str = "--no-sandbox --disable-gpu --no-first-run --no-default-browser-check \
    --disable-background-networking --disable-component-update --disable-sync --password-store=basic \
    --disable-features=Translate,OverscrollHistoryNavigation";

/// A browser that shows the page over the whole screen.
struct Browser {
    stage: Stage,
    page: Page,
}

impl Browser {
    async fn open(fragment: &str) -> Self {
        let (mut page, stage) = (Page::serve(EVENTS).await, Stage::new().await);
        let profile = stage.dir.path().join("profile");
        let command = format!(
            "exec chromium {FLAGS} --kiosk --user-data-dir={} {}{fragment}",
            profile.display(),
            page.url()
        );
        stage.launch(&command).await;
        page.ready(&stage.server).await;
        let desktop = std::fs::read_dir(stage.dir.path()).unwrap().flatten();
        let desktop = desktop.map(|entry| entry.path().join("tmp")).find(|path| path.exists()).unwrap();
        assert!(std::fs::read_dir(desktop).unwrap().count() > 0, "what it leaves goes with the desktop");
        Self { stage, page }
    }

    async fn close(self) {
        let Self { stage, page } = self;
        let profile = stage.dir.path().join("profile");
        stage.server.data("stop_desktop", json!({"desktop": stage.desktop["desktop"]})).await;
        std::fs::remove_dir_all(profile).unwrap();
        drop(page);
        stage.server.leave().await;
        assert_eq!(std::fs::read_dir(stage.dir.path()).unwrap().count(), 0, "nothing is left");
    }
}

#[tokio::test]
async fn of_random_actions_every_one_arrives_as_it_was_asked_for() {
    let mut browser = Browser::open("").await;
    random_actions_arrive(&browser.stage.server, &mut browser.page, 250).await;
    browser.close().await;
}

#[tokio::test]
async fn two_thousand_characters_in_five_scripts_arrive_exactly() {
    let mut browser = Browser::open("#text").await;
    long_text_arrives(&browser.stage.server, &mut browser.page).await;
    browser.close().await;
}
