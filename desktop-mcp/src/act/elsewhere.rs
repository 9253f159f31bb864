//! Actions that models know of such a tool elsewhere, and what does the same here.

use rmcp::model::JsonObject;
use serde_json::Value;

use crate::error::{Problem, Result};

/// Names as in Anthropic's and OpenAI's tools for computer use, and what to call instead.
const ELSEWHERE: [(&str, &str); 7] = [
    ("screenshot", "call the tool screenshot, or give then=screenshot with an action"),
    ("zoom", "call the tool screenshot with region: small parts come at full resolution"),
    ("wait", "call the tool wait_for, which returns when the screen is still or what is waited for is there"),
    ("click", "use left_click, right_click, middle_click, back_click or forward_click"),
    ("drag", "use left_click_drag with start_coordinate and coordinate"),
    ("move", "use mouse_move"),
    ("keypress", "use key, with text as in ctrl+shift+t"),
];

/// Refuses an action that is done otherwise here, and says how.
///
/// # Errors
/// `invalid_argument`.
pub fn refuse_elsewhere(arguments: Option<&JsonObject>) -> Result<()> {
    let action = arguments.and_then(|arguments| arguments.get("action")).and_then(Value::as_str);
    match ELSEWHERE.iter().find(|(name, _)| Some(*name) == action) {
        Some((name, instead)) => {
            Err(Problem::invalid("action", format!("{name} is no action of this tool")).hint(*instead))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ComputerParams;
    use super::*;

    #[test]
    fn what_is_refused_is_no_action_and_what_is_advised_is_one_or_a_tool() {
        let tools = crate::tools::list().unwrap();
        let is_action =
            |word: &str| serde_json::from_value::<ComputerParams>(json!({"action": word})).is_ok();
        let is_tool = |word: &str| tools.iter().any(|tool| tool.name == word);
        for (name, instead) in ELSEWHERE {
            assert!(!is_action(name), "{name}");
            let mut words = instead.split(|c: char| !c.is_ascii_lowercase() && c != '_');
            assert!(words.any(|word| word != name && is_action(word) || is_tool(word)), "{name}: {instead}");
            let refused = refuse_elsewhere(json!({"region": [], "action": name}).as_object()).unwrap_err();
            assert_eq!((refused.field.as_deref(), refused.hint.as_str()), (Some("action"), instead));
        }
        assert_eq!(refuse_elsewhere(json!({"action": "left_click"}).as_object()), Ok(()));
        assert_eq!(refuse_elsewhere(None), Ok(()));
    }
}
