//! desktop-mcp: a desktop is started, and the model sees its screen.

use sandboxed_testkit::stub::Step;
use serde_json::{Value, json};

use crate::client::{Client, program};

fn tool(name: &str, input: Value) -> Step {
    Step::mcp("desktop", name, input)
}

async fn works_with(client: Client) {
    let steps = [
        tool("start_desktop", json!({"width": 640, "height": 480})),
        tool("list_windows", json!({})),
        tool("screenshot", json!({"format": "png"})),
        tool("stop_desktop", json!({"desktop": "{{find:desktop}}"})),
        Step::text("I have seen it."),
    ];
    let session = client.session("desktop", &program("desktop-mcp"), |_| {}, steps).await;
    let texts = session.texts();
    assert_eq!(texts.len(), 4, "{texts:#?}");
    assert!(
        texts[0].contains("\"width\":640") && texts[1].contains("\"windows\":[]"),
        "{client:?}: {texts:#?}"
    );
    // Base64 of how every PNG begins.
    assert!(texts[2].contains("iVBORw0KGgo"), "{client:?}: the model sees the screen: {}", texts[2]);
}

#[tokio::test]
async fn claude_code_sees_a_desktop() {
    works_with(Client::Claude).await;
}

#[tokio::test]
async fn codex_sees_a_desktop() {
    works_with(Client::Codex).await;
}
