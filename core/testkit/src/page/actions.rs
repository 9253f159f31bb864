//! What is done to the page, and what it must tell of it.

use serde_json::{Value, json};

use super::dice::Dice;
use super::told::Page;
use crate::mcp::McpServer;

/// Does random things on the screen, which the page has to itself, and compares each with what the page tells of it: place,
/// button, keys and text.
pub async fn random_actions_arrive(server: &McpServer, page: &mut Page, count: usize) {
    // What one step of the wheel is here.
    act(server, json!({"action": "scroll", "coordinate": [5, 5], "scroll_amount": 1})).await;
    let wheel = page.next().await[2].as_f64().unwrap();
    assert!(wheel > 0.0);
    let mut dice = Dice(20_26);
    for _ in 0..count {
        let (done, expected) = action(&mut dice, wheel);
        act(server, done.clone()).await;
        if done["action"] == "scroll" {
            scrolled(page, &done, &expected[0], wheel).await;
        } else {
            expect(page, &done, &expected).await;
        }
    }
}

async fn act(server: &McpServer, arguments: Value) {
    server.text("computer", arguments).await;
}

/// What must come, in this order.
async fn expect(page: &mut Page, about: &Value, expected: &[Value]) {
    for event in expected {
        let mut got = page.next_of(format!("{about}, {event} was expected")).await;
        // How often it was clicked is told apart where it matters.
        if got[0] == "mousedown" || got[0] == "mouseup" {
            got.as_array_mut().unwrap().pop();
        }
        assert_eq!(&got, event, "{about} of {expected:?}");
    }
}

/// Steps of the wheel come one by one or together.
async fn scrolled(page: &mut Page, about: &Value, expected: &Value, wheel: f64) {
    let (mut x, mut y) = (0.0, 0.0);
    while json!(["wheel", x, y, ""]) != *expected {
        let got = page.next_of(about).await;
        assert_eq!(got[0], "wheel", "{about}");
        (x, y) = (x + got[1].as_f64().unwrap(), y + got[2].as_f64().unwrap());
        assert!(x.abs() + y.abs() <= 5.0 * wheel, "{about}: {x} {y}");
    }
}

/// Types 2,000 characters in five scripts into the page's field, then puts them there by the clipboard and back.
pub async fn long_text_arrives(server: &McpServer, page: &mut Page) {
    let text = long_text();
    act(server, json!({"action": "type", "text": text})).await;
    let mut value = String::new();
    while value.chars().count() < 2000 {
        let got = page.next_of("the text").await;
        if got[0] == "input" {
            value = got[1].as_str().unwrap().to_owned();
        }
    }
    let wrong: Vec<_> =
        value.chars().zip(text.chars()).enumerate().filter(|(_, (got, asked))| got != asked).collect();
    assert!(wrong.is_empty() && value == text, "{} wrong, first {:?}", wrong.len(), wrong.first());
    let key = |keys: &str| json!({"action": "key", "text": keys});
    act(server, key("ctrl+a Delete")).await;
    server.text("set_clipboard", json!({"text": text})).await;
    act(server, key("ctrl+v")).await;
    loop {
        let got = page.next_of("the clipboard").await;
        if got[0] == "input" && got[1] != "" {
            assert_eq!(got[1], text);
            break;
        }
    }
    act(server, key("ctrl+a ctrl+c")).await;
    assert_eq!(server.text("get_clipboard", json!({})).await, text, "and back");
}

/// A random action, and what the page must get of it.
fn action(dice: &mut Dice, wheel: f64) -> (Value, Vec<Value>) {
    let (x, y) = (dice.roll(1280), dice.roll(800));
    let held = dice.of(&["", "", "ctrl", "shift", "ctrl+shift"]);
    let around = |events: Vec<Value>| -> Vec<Value> {
        let name = |key: &str| if key == "ctrl" { "Control" } else { "Shift" };
        let keys: Vec<&str> = held.split('+').filter(|key| !key.is_empty()).collect();
        let down = (0..keys.len()).map(|n| json!(["keydown", name(keys[n]), keys[..=n].join("+")]));
        let up = (0..keys.len()).rev().map(|n| json!(["keyup", name(keys[n]), keys[..n].join("+")]));
        let (down, up): (Vec<_>, Vec<_>) = (down.collect(), up.collect());
        down.into_iter().chain(events).chain(up).collect()
    };
    let mouse = |kind: &str, button: u8, x: u64, y: u64| json!([kind, button, x, y, held]);
    match dice.roll(10) {
        0..=3 => {
            let (action, button) = dice.of(&[
                ("left_click", 0),
                ("left_click", 0),
                ("middle_click", 1),
                ("right_click", 2),
                ("back_click", 3),
                ("forward_click", 4),
            ]);
            let events = vec![mouse("mousedown", button, x, y), mouse("mouseup", button, x, y)];
            (json!({"action": action, "coordinate": [x, y], "text": held}), around(events))
        }
        4 => {
            let one = [mouse("mousedown", 0, x, y), mouse("mouseup", 0, x, y)];
            let twice = json!(["dblclick", 0, x, y, held, 2]);
            let events = one.iter().chain(&one).cloned().chain([twice]).collect();
            (json!({"action": "double_click", "coordinate": [x, y], "text": held}), around(events))
        }
        5 => {
            let (left, top) = (dice.roll(1280), dice.roll(800));
            let button = dice.of(&[("left", 0), ("middle", 1), ("right", 2)]);
            let place = json!({"action": "left_click_drag", "start_coordinate": [left, top], "coordinate": [x, y],
                "button": button.0});
            (
                place,
                vec![json!(["mousedown", button.1, left, top, ""]), json!(["mouseup", button.1, x, y, ""])],
            )
        }
        6 => {
            let (direction, (dx, dy)) =
                dice.of(&[("up", (0., -1.)), ("down", (0., 1.)), ("left", (-1., 0.)), ("right", (1., 0.))]);
            let amount = 1 + dice.roll(5);
            let far = |one: f64| one * wheel * amount as f64;
            let act = json!({"action": "scroll", "coordinate": [x, y], "scroll_direction": direction,
                "scroll_amount": amount});
            (act, vec![json!(["wheel", far(dx), far(dy), ""])])
        }
        7 | 8 => {
            let (name, key) = dice.of(&[
                ("a", "a"),
                ("z", "z"),
                ("7", "7"),
                ("Return", "Enter"),
                ("Escape", "Escape"),
                ("Left", "ArrowLeft"),
                ("Page_Down", "PageDown"),
                ("BackSpace", "Backspace"),
                ("semicolon", ";"),
                ("F2", "F2"),
                ("space", " "),
            ]);
            (
                json!({"action": "key", "text": name}),
                vec![json!(["keydown", key, ""]), json!(["keyup", key, ""])],
            )
        }
        _ => {
            let text: String =
                (0..1 + dice.roll(6)).map(|_| dice.of(&['b', '3', '-', 'é', 'ж', '漢', 'ω'])).collect();
            let keys =
                text.chars().flat_map(|c| [json!(["keydown", c, ""]), json!(["keyup", c, ""])]).collect();
            (json!({"action": "type", "text": text}), keys)
        }
    }
}

/// Five scripts, some 600 different characters.
fn long_text() -> String {
    let ranges = ['a'..='z', 'А'..='я', 'Α'..='Ρ', 'α'..='ω', '一'..='亿', 'あ'..='ん', '가'..='갷'];
    let all: Vec<char> = ranges.into_iter().flatten().collect();
    let mut dice = Dice(5);
    let mut text: String = all.iter().collect();
    while text.chars().count() < 2000 {
        text.push(dice.of(&all));
        if dice.roll(12) == 0 {
            text.push(dice.of(&[' ', '\n', '.', 'É', '€']));
        }
    }
    text.chars().take(2000).collect()
}
