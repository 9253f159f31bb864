//! What programs tell of themselves, and what is done to their elements by refs and by words.

use rustix::process::Signal;
use sandboxed_testkit::game::reference;
use serde_json::json;

use crate::programs::Program;
use crate::stage::Stage;

/// A form with a field, a secret, choices and a list; says what was filled in.
fn form(stage: &Stage) -> Program {
    Program::start(
        stage,
        &[
            "zenity",
            "--forms",
            "--title=Order",
            "--text=Fill in",
            "--add-entry=Name",
            "--add-password=Secret",
            "--add-combo=Colour",
            "--combo-values=red|green|blue",
            "--add-list=Fruit",
            "--list-values=apple|pear|fig",
        ],
    )
}

async fn there(stage: &Stage, role: &str, text: &str) {
    let wait = json!({"until": "element", "role": role, "text": text, "timeout_seconds": 60});
    let found = stage.server.text("wait_for", wait).await;
    assert!(found.starts_with("there: "), "{found}");
}

#[tokio::test]
async fn a_form_is_filled_in_by_refs() {
    let stage = Stage::new().await;
    let program = form(&stage);
    there(&stage, "button", "OK").await;
    let snapshot = stage.server.text("snapshot", json!({})).await;
    let element = |words| reference(&snapshot, words);
    let (name, secret) = (element("text field \"Name\""), element("password field \"Secret\""));
    let act = async |arguments| stage.server.text("act_on", arguments).await;
    let filled = act(json!({"action": "set_text", "element": name, "value": "Zoë 漢字 ✓"})).await;
    // It has the focus as soon as the window manager gave it to the form.
    let told = filled.replace(" focused", "");
    assert_eq!(told, format!("done: {name} text field \"Name\" = \"Zoë 漢字 ✓\""));
    let hidden = act(json!({"action": "set_text", "element": secret, "value": "pässword"})).await;
    assert!(hidden.ends_with("= \"8 hidden characters\"") && !hidden.contains("pässword"), "{hidden}");
    let colour = element("combobox \"Colour\"");
    let chosen = act(json!({"action": "choose", "element": colour, "value": "green"})).await;
    assert!(chosen.contains("combobox \"Colour\" = \"green\""), "{chosen}");
    act(json!({"action": "choose", "element": element("table \"Fruit\""), "value": "pear"})).await;
    let list = stage.server.text("snapshot", json!({"only": "pear", "places": true})).await;
    assert!(list.contains("cell \"pear\" selected"), "{list}");
    act(json!({"action": "click", "element": element("button \"OK\"")})).await;
    assert_eq!(program.output().await, "Zoë 漢字 ✓|pässword|green|pear\n");
    let stale = stage.server.problem("act_on", json!({"action": "click", "element": name})).await;
    assert_eq!((&stale["code"], &stale["field"]), (&json!("stale_element"), &json!("element")));
    stage.finish().await;
}

#[tokio::test]
async fn a_form_is_filled_in_by_visible_words_and_cells_by_the_pointer() {
    let stage = Stage::new().await;
    let program = form(&stage);
    // A field has the words beside it when both have their places.
    for (role, label) in [("text field", "Name"), ("combobox", "Colour"), ("password field", "Secret")] {
        there(&stage, role, label).await;
    }
    let still = json!({"until": "still", "quiet_ms": 500});
    stage.server.text("wait_for", still).await;
    let act = async |arguments| stage.server.text("act_on", arguments).await;
    act(json!({"action": "set_text", "text": "name", "value": "Bob"})).await;
    act(json!({"action": "choose", "text": "Colour", "value": "blue"})).await;
    let clicked = act(json!({"action": "click", "text": "fig"})).await;
    assert!(clicked.contains("cell \"fig\"") && clicked.contains(" selected"), "{clicked}");
    let focused = act(json!({"action": "focus", "text": "Secret"})).await;
    assert!(focused.contains("focused"), "{focused}");
    act(json!({"action": "click", "text": "OK"})).await;
    assert_eq!(program.output().await, "Bob||blue|fig\n");
    stage.finish().await;
}

#[tokio::test]
async fn menus_and_dialogs_are_used_by_words() {
    let stage = Stage::new().await;
    let _program = Program::start(&stage, &["gtk3-demo-application"]);
    there(&stage, "menu", "Help").await;
    let act = async |arguments| stage.server.text("act_on", arguments).await;
    let chosen = act(json!({"action": "choose", "text": "Preferences", "value": "Color > Green"})).await;
    assert!(chosen.ends_with("chosen: \"Green\""), "{chosen}");
    act(json!({"action": "choose", "text": "Help", "value": "About"})).await;
    there(&stage, "dialog", "About").await;
    stage.focus("About").await;
    let snapshot = stage.server.text("snapshot", json!({})).await;
    let first = snapshot.lines().next().unwrap();
    assert!(
        first.contains("dialog") && first.contains("active modal"),
        "what has the focus comes first:\n{snapshot}"
    );
    let dialog = reference(&snapshot, "dialog ");
    let below = stage.server.text("snapshot", json!({"element": dialog})).await;
    assert!(below.contains("button \"Close\"") && !below.contains("menu \"Help\""), "{below}");
    act(json!({"action": "click", "element": reference(&below, "button \"Close\"")})).await;
    let gone = json!({"until": "element", "role": "dialog", "text": "About", "gone": true});
    assert!(stage.server.text("wait_for", gone).await.starts_with("gone "));
    let missing = json!({"action": "choose", "text": "Help", "value": "Zebra"});
    assert_eq!(stage.server.problem("act_on", missing).await["code"], "not_found");
    stage.finish().await;
}

#[tokio::test]
async fn a_program_that_hangs_is_named_and_holds_nobody_up() {
    let stage = Stage::new().await;
    let hung = form(&stage);
    there(&stage, "button", "OK").await;
    let snapshot = stage.server.text("snapshot", json!({})).await;
    hung.signal(Signal::STOP);
    let _other = Program::start(&stage, &["gtk3-demo-application"]);
    there(&stage, "menu", "Help").await;
    let now = stage.server.text("snapshot", json!({})).await;
    assert!(now.contains("did not answer in time") && now.contains("menu \"Help\""), "{now}");
    let click = json!({"action": "click", "element": reference(&snapshot, "button \"OK\"")});
    assert_eq!(stage.server.problem("act_on", click).await["code"], "timed_out");
    hung.signal(Signal::KILL);
    stage.finish().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_reason() {
    let stage = Stage::new().await;
    let nothing = stage.server.text("snapshot", json!({})).await;
    assert_eq!(nothing, "No program tells of itself over accessibility.");
    let _program = form(&stage);
    there(&stage, "button", "OK").await;
    let snapshot = stage.server.text("snapshot", json!({})).await;
    let button = reference(&snapshot, "button \"OK\"");
    for (tool, arguments, code, field) in [
        ("snapshot", json!({"element": "e999"}), "stale_element", Some("element")),
        ("snapshot", json!({"element": "OK"}), "invalid_argument", Some("element")),
        ("snapshot", json!({"max_bytes": 1}), "invalid_argument", Some("max_bytes")),
        ("act_on", json!({"action": "click"}), "invalid_argument", Some("element")),
        (
            "act_on",
            json!({"action": "click", "element": "e1", "text": "OK"}),
            "invalid_argument",
            Some("element"),
        ),
        ("act_on", json!({"action": "smash", "text": "OK"}), "invalid_argument", Some("action")),
        ("act_on", json!({"action": "choose", "text": "Colour"}), "invalid_argument", Some("value")),
        ("act_on", json!({"action": "click", "text": "Zebra"}), "not_found", Some("text")),
        ("act_on", json!({"action": "set_text", "element": button, "value": "x"}), "not_actionable", None),
        (
            "act_on",
            json!({"action": "set_text", "text": "Name", "value": "x".repeat(100_001)}),
            "invalid_argument",
            Some("value"),
        ),
    ] {
        let problem = stage.server.problem(tool, arguments.clone()).await;
        assert_eq!(
            (&problem["code"], problem["field"].as_str()),
            (&json!(code), field),
            "{tool} {arguments}: {problem}"
        );
    }
    let cut = stage.server.text("snapshot", json!({"max_bytes": 200})).await;
    assert!(cut.len() < 400 && cut.contains("more lines"), "{cut}");
    stage.finish().await;
}
