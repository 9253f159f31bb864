//! The tools that read and use what programs tell of themselves: snapshot and act_on.

use rmcp::model::Tool;
use sandboxed_mcp::Answer;
use sandboxed_mcp::tools::{Effect, text};
use schemars::JsonSchema;
use serde::Deserialize;

use super::act::{self, Pointing};
use super::{Bounds, Outline, Wanted};
use crate::error::{Problem, Result};
use crate::session::Desktop;

/// Most bytes of a snapshot.
const MOST_BYTES: usize = 40_000;
/// Longest text that is put in at once, in bytes.
const MOST_TEXT: usize = 100_000;

/// Parameters of `snapshot`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// Only what is in this element: its ref [everything]
    #[serde(default)]
    element: String,
    /// Only elements with these words, and what they are in [all]
    #[serde(default)]
    only: String,
    /// With the middle of each element as x,y in pixels of the picture [false]
    #[serde(default)]
    places: bool,
    /// Most bytes of the answer, up to 40000 [12000]
    #[serde(default = "default_bytes")]
    max_bytes: usize,
}

const fn default_bytes() -> usize {
    12_000
}

/// Parameters of `act_on`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// What to do: set_text replaces all text of a field (or sets a slider); choose picks value in a menu, list, table or combobox; drag drops it on the element value
    action: Action,
    /// Ref of the element, as snapshot shows it: e12
    #[serde(default)]
    element: String,
    /// Instead of element: its visible words
    #[serde(default)]
    text: String,
    /// For set_text: the text. For choose: the words of the choice, through menus as "File > Save as". For drag: ref or words of the element to drop on
    #[serde(default)]
    value: String,
}

/// What can be done to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Clicks or presses it
    Click,
    /// Clicks it twice, with the pointer
    DoubleClick,
    /// Clicks it with the right button
    RightClick,
    /// Puts the pointer on it
    Hover,
    /// Gives it the keys
    Focus,
    /// Replaces its text, or sets its number
    SetText,
    /// Chooses value in it
    Choose,
    /// Scrolls it into sight
    ScrollTo,
    /// Drags it to another element
    Drag,
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![
        text::<SnapshotParams>(
            "snapshot",
            "Read the elements",
            "Windows, fields, buttons and texts as programs tell them, as indented text with states, values and refs \
             (e12) for act_on. Cheaper and surer than a screenshot. Chromium needs --force-renderer-accessibility; \
             terminals and canvases show little: use find_text.",
            Effect::Reads,
        )?,
        text::<ActParams>(
            "act_on",
            "Act on an element",
            "Clicks, focuses, fills, chooses in, scrolls to or drags one element, named by its ref of snapshot or by its \
             visible words. Needs no coordinates and scrolls into sight. Returns how the element is then. Prefer it to \
             mouse and keys.",
            Effect::Runs,
        )?,
    ])
}

/// `snapshot`
///
/// # Errors
/// `stale_element`, `not_installed`, `desktop_ended`.
pub async fn snapshot(desktop: &Desktop, params: SnapshotParams) -> Result<Answer> {
    if !(200..=MOST_BYTES).contains(&params.max_bytes) {
        let message = format!("{} is not within 200 to {MOST_BYTES}", params.max_bytes);
        return Err(Problem::invalid("max_bytes", message));
    }
    let elements = desktop.elements();
    let trees = match params.element.as_str() {
        "" => elements.trees(Bounds::default()).await?,
        name => elements.trees_below(Wanted::Ref(name), Bounds::default()).await?,
    };
    let places = params.places.then(|| desktop.view().whole());
    let how = Outline { only: &params.only, places, longest: params.max_bytes };
    Ok(Answer::text(elements.outline(&trees, how)))
}

/// `act_on`
///
/// # Errors
/// `stale_element`, `not_found`, `not_unique`, `not_actionable`, `text_not_typed`.
pub async fn act_on(desktop: &Desktop, params: ActParams) -> Result<Answer> {
    let needs_value = matches!(params.action, Action::Choose | Action::Drag);
    if needs_value && params.value.is_empty() {
        return Err(Problem::invalid("value", "this action needs a value"));
    }
    if params.value.len() > MOST_TEXT {
        return Err(
            Problem::invalid("value", format!("more than {MOST_TEXT} bytes")).hint("put it in in parts")
        );
    }
    let _acting = desktop.acting().lock().await;
    let elements = desktop.elements();
    let element = match params.action {
        Action::SetText | Action::Choose => {
            act::wanted_field(elements, &params.element, &params.text).await?
        }
        _ => act::wanted(elements, &params.element, &params.text).await?,
    };
    let before = elements.told(&element);
    let mut more = String::new();
    match params.action {
        Action::Click => act::click(desktop, &element).await?,
        Action::DoubleClick => act::point(desktop, &element, Pointing::DoubleClick).await?,
        Action::RightClick => act::point(desktop, &element, Pointing::RightClick).await?,
        Action::Hover => act::point(desktop, &element, Pointing::Hover).await?,
        Action::Focus => act::focus(desktop, &element).await?,
        Action::SetText => act::set_text(desktop, &element, &params.value).await?,
        Action::ScrollTo => act::scroll_to(desktop, &element).await?,
        Action::Choose => {
            let chosen = act::choose(desktop, &element, &params.value).await?;
            more = format!(", chosen: {:?}", chosen.name);
        }
        Action::Drag => {
            let is_ref = params.value.strip_prefix('e').is_some_and(|n| n.parse::<u32>().is_ok());
            let to = if is_ref { Wanted::Ref(&params.value) } else { Wanted::Words(&params.value) };
            let to = elements.element(to).await?;
            act::drag(desktop, &element, &to).await?;
            more = format!(", dropped on {}", elements.told(&to));
        }
    }
    // How it is now; a button that closed its own window is gone, and that is fine.
    let now = elements.again(&element.object).await.map_or(before, |mut now| {
        now.label = element.label;
        elements.told(&now)
    });
    Ok(Answer::text(format!("done: {now}{more}")))
}
