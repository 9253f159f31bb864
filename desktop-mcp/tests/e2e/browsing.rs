//! A browser's page by what it tells of itself: filled in, chosen from, scrolled and clicked, without a coordinate.

use serde_json::json;

use crate::stage::Stage;

/// Shows in its title what was filled in, when the button far below is clicked.
const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Order</title><label>Name <input id=n value=old></label>\
    <label>Secret <input id=s type=password></label><textarea id=t aria-label=Notes></textarea>\
    <select id=c aria-label=Colour><option>red<option>green<option>blue</select>\
    <label><input id=a type=checkbox>Agree</label><input id=l type=range aria-label=Level max=10>\
    <div style='height:3000px'></div><button onclick=\"document.title=[n.value,s.value,t.value.replace('\\n','/'),\
    c.value,a.checked,l.value].join('|')\">Send</button>";

#[tokio::test]
async fn a_page_is_filled_in_and_sent_by_words() {
    let stage = Stage::new().await;
    let files = tempfile::tempdir().unwrap();
    let page = files.path().join("page.html");
    std::fs::write(&page, PAGE).unwrap();
    let profile = files.path().join("profile");
    let flags =
        "--no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage --force-renderer-accessibility";
    let (profile, page) = (profile.display(), page.display());
    stage.launch(&format!("exec chromium {flags} --user-data-dir={profile} file://{page}")).await;
    let there = json!({"until": "element", "role": "combobox", "text": "Colour", "timeout_seconds": 80});
    let there = stage.server.text("wait_for", there).await;
    assert!(there.starts_with("there: "), "{there}");
    let act = async |arguments| stage.server.text("act_on", arguments).await;
    let name = act(json!({"action": "set_text", "text": "Name", "value": "Zoë 漢"})).await;
    let told = name.replace(" focused", "");
    assert!(told.contains("text field \"Name\" = \"Zoë 漢\""), "{name}");
    act(json!({"action": "set_text", "text": "Secret", "value": "pw"})).await;
    act(json!({"action": "set_text", "text": "Notes", "value": "one\ntwo"})).await;
    act(json!({"action": "choose", "text": "Colour", "value": "blue"})).await;
    act(json!({"action": "click", "text": "Agree"})).await;
    act(json!({"action": "set_text", "text": "Level", "value": "7"})).await;
    let below = stage.server.text("snapshot", json!({"only": "Send"})).await;
    assert!(below.contains("button \"Send\" out of sight"), "{below}");
    let scrolled = act(json!({"action": "scroll_to", "text": "Send"})).await;
    assert!(!scrolled.contains("out of sight"), "{scrolled}");
    act(json!({"action": "click", "text": "Send"})).await;
    let sent = json!({"until": "window", "text": "Zoë 漢|pw|one/two|blue|true|7"});
    let sent = stage.server.text("wait_for", sent).await;
    assert!(sent.starts_with("there: window"), "{sent}");
    stage.finish().await;
}
