//! What is done to an element: by its program where that has a way for it, else with the pointer where it can be seen.

use std::time::Duration;

use atspi::{Role, State};

use super::reach::{LOOK_AGAIN, reach};
use super::{Bounds, Element, Elements, Wanted, find_below, is_actionable};
use crate::act::{self as hand, Button, Dropped, chords, type_text};
use crate::error::{Code, Problem, Result};
use crate::session::Desktop;

/// Longest time that a program takes to show what was done to it.
const SETTLING: Duration = Duration::from_secs(10);
/// Longest time that is waited for what may never come: a choice in a list that opens, a selection by a click.
const PERHAPS: Duration = Duration::from_secs(4);
/// Names of actions that are a click, as toolkits and Chromium have them.
const CLICKS: [&str; 11] = [
    "click",
    "press",
    "toggle",
    "jump",
    "check",
    "uncheck",
    "open",
    "select",
    "clickancestor",
    "click-ancestor",
    "click ancestor",
];

/// Where the pointer is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointing {
    /// Once, with the left button.
    Click,
    /// Twice.
    DoubleClick,
    /// Once, with the right button.
    RightClick,
    /// Only there.
    Hover,
}

/// Clicks an element.
///
/// # Errors
/// `not_actionable`: it is disabled, or nowhere to be clicked.
pub async fn click(desktop: &Desktop, element: &Element) -> Result<()> {
    let elements = desktop.elements();
    enabled(element)?;
    if let Some(index) = click_action(elements, element).await? {
        let done: bool = elements.bus().await?.call(&element.object, "Action", "DoAction", &(index,)).await?;
        if done {
            return Ok(());
        }
    }
    point(desktop, element, Pointing::Click).await?;
    let selects = element.is(State::Selectable) && !element.is(State::Selected);
    if selects {
        selected_soon(elements, element).await?;
    }
    Ok(())
}

/// The pointer's click goes by way of the window manager and may come after what is done next by the program itself:
/// it is over when what it selects is selected. Not all that can be selected is selected by a click.
async fn selected_soon(elements: &Elements, element: &Element) -> Result<()> {
    let selected = until(elements, element, |now| now.is(State::Selected));
    match tokio::time::timeout(PERHAPS, selected).await {
        Ok(Err(problem)) if problem.code != Code::StaleElement => Err(problem),
        _ => Ok(()),
    }
}

/// Does something with the pointer on the middle of an element.
///
/// # Errors
/// `not_actionable`: it is nowhere to be seen.
pub async fn point(desktop: &Desktop, element: &Element, pointing: Pointing) -> Result<()> {
    let (x, y) = reach(desktop, element).await?;
    let (button, count) = match pointing {
        Pointing::Click => (Button::Left, 1),
        Pointing::DoubleClick => (Button::Left, 2),
        Pointing::RightClick => (Button::Right, 1),
        Pointing::Hover => (Button::Left, 0),
    };
    desktop.hands().run(move |hands| hand::click(hands, Some((x, y)), button, count, &[])).await
}

/// Drags from the middle of one element to that of another.
///
/// # Errors
/// `not_actionable`: one of them is nowhere to be seen, or what was dragged is not taken there.
pub async fn drag(desktop: &Desktop, from: &Element, to: &Element) -> Result<()> {
    let to_place = reach(desktop, to).await?;
    let from_place = reach(desktop, from).await?;
    match hand::drag(desktop, from_place, to_place, Button::Left, Vec::new()).await? {
        Dropped::Untold | Dropped::Taken => Ok(()),
        Dropped::Refused => {
            let message = format!("{} has not taken what was dropped on it", super::describe(to));
            Err(Problem::new(Code::NotActionable, message).hint("drop it on what takes such things"))
        }
    }
}

/// Gives an element the keys.
///
/// # Errors
/// `not_actionable`: it does not take them.
pub async fn focus(desktop: &Desktop, element: &Element) -> Result<()> {
    enabled(element)?;
    let bus = desktop.elements().bus().await?;
    let taken = bus.call::<_, bool>(&element.object, "Component", "GrabFocus", &()).await?;
    if !taken && !element.is(State::Focusable) {
        return Err(Problem::new(Code::NotActionable, "it does not take the focus"));
    }
    until(desktop.elements(), element, |now| now.is(State::Focused)).await.map(drop)
}

/// Puts text into an element instead of what is in it, and looks whether it is there.
///
/// # Errors
/// `not_actionable`: it takes no text. `text_not_typed`: something else is in it now.
pub async fn set_text(desktop: &Desktop, element: &Element, text: &str) -> Result<()> {
    enabled(element)?;
    let elements = desktop.elements();
    let bus = elements.bus().await?;
    if element.has("Value") && !element.is(State::Editable) {
        return set_value(desktop, element, text).await;
    }
    if !element.is(State::Editable) && !element.has("EditableText") {
        return Err(Problem::new(Code::NotActionable, "it takes no text")
            .hint("click it and type, or choose another"));
    }
    let mut set = false;
    if element.has("EditableText") {
        set = bus.call(&element.object, "EditableText", "SetTextContents", &(text,)).await?;
    }
    if !set {
        focus(desktop, element).await?;
        type_over(desktop, element, text).await?;
    }
    arrived(elements, element, text).await
}

/// Types it instead of what is there, where a program does not let others set its text.
async fn type_over(desktop: &Desktop, element: &Element, text: &str) -> Result<()> {
    if text.contains('\n') && !element.is(State::MultiLine) {
        return Err(Problem::invalid("value", "the field has one line only"));
    }
    let keys = if text.is_empty() { "ctrl+a Delete" } else { "ctrl+a" };
    let keys = chords("value", keys)?;
    desktop.hands().run(move |hands| hand::press(hands, &keys)).await?;
    if text.is_empty() {
        return Ok(());
    }
    type_text(desktop, text).await.map(drop)
}

async fn arrived(elements: &Elements, element: &Element, text: &str) -> Result<()> {
    let bus = elements.bus().await?;
    let mut changes = elements.changes().await?;
    let secret = element.role == Role::PasswordText;
    let count = i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
    let there = async {
        loop {
            let now = if secret {
                let length: i32 = bus.property(&element.object, "Text", "CharacterCount").await?;
                length == count
            } else {
                super::read::text(bus, &element.object, text.chars().count() + 1).await? == text
            };
            if now {
                return Ok(());
            }
            changes.changed().await.map_err(|_| Problem::new(Code::DesktopEnded, "the desktop has ended"))?;
        }
    };
    tokio::time::timeout(SETTLING, there).await.unwrap_or_else(|_| {
        Err(Problem::new(
            Code::TextNotTyped,
            "something else is in it now: the program may have changed the text",
        )
        .hint("take a snapshot to see what is in it"))
    })
}

async fn set_value(desktop: &Desktop, element: &Element, text: &str) -> Result<()> {
    let number: f64 = text.trim().parse().map_err(|_| {
        Problem::invalid("value", format!("{text:?} is no number, and the element takes only numbers"))
    })?;
    let bus = desktop.elements().bus().await?;
    let (least, most): (f64, f64) = tokio::try_join!(
        bus.property(&element.object, "Value", "MinimumValue"),
        bus.property(&element.object, "Value", "MaximumValue"),
    )?;
    if !(least..=most).contains(&number) {
        return Err(Problem::invalid("value", format!("{number} is not within {least} to {most}")));
    }
    bus.set_property(&element.object, "Value", "CurrentValue", number).await
}

/// Chooses what has these words in a menu, list, table, tree or box of choices; `A > B` goes through menus.
///
/// # Errors
/// `not_found`: nothing in it has these words.
pub async fn choose(desktop: &Desktop, element: &Element, words: &str) -> Result<Element> {
    enabled(element)?;
    let steps: Vec<&str> = words.split(" > ").map(str::trim).filter(|step| !step.is_empty()).collect();
    if steps.is_empty() {
        return Err(Problem::invalid("value", "there are no words to choose by"));
    }
    let mut at = element.clone();
    for step in steps {
        let next = choice(desktop, &at, step).await?;
        pick(desktop, &next).await?;
        at = next;
    }
    Ok(at)
}

/// The choice in an element, which is opened when the choice is not there yet.
async fn choice(desktop: &Desktop, element: &Element, words: &str) -> Result<Element> {
    let elements = desktop.elements();
    let mut changes = elements.changes().await?;
    if let Some(found) = find_below(elements, element, words).await? {
        return Ok(found);
    }
    let opens = matches!(
        element.role,
        Role::Menu | Role::ComboBox | Role::Button | Role::ToggleButton | Role::PushButtonMenu
    ) || element.is(State::HasPopup);
    if opens {
        click(desktop, element).await?;
        let found = async {
            loop {
                changes
                    .changed()
                    .await
                    .map_err(|_| Problem::new(Code::DesktopEnded, "the desktop has ended"))?;
                if let Some(found) = find_below(elements, element, words).await? {
                    return Ok::<_, Problem>(found);
                }
                // Some open their lists as windows of their own.
                let trees = elements.trees(Bounds::default()).await?;
                if let Some(found) = super::find::choice(&trees, words) {
                    return Ok(found);
                }
            }
        };
        if let Ok(found) = tokio::time::timeout(PERHAPS, found).await {
            return found;
        }
    }
    Err(Problem::new(Code::NotFound, format!("there is no choice {words:?} in it")).field("value"))
}

/// Makes a choice: by its click, or by the selection of what it is in, else with the pointer.
async fn pick(desktop: &Desktop, choice: &Element) -> Result<()> {
    let elements = desktop.elements();
    enabled(choice)?;
    let bus = elements.bus().await?;
    if let Some(index) = click_action(elements, choice).await? {
        let done: bool = bus.call(&choice.object, "Action", "DoAction", &(index,)).await?;
        if done {
            return Ok(());
        }
    }
    if choice.is(State::Selectable)
        && let Some(parent) = super::point::parent(bus, &choice.object).await?
    {
        let index: i32 = bus.call(&choice.object, "Accessible", "GetIndexInParent", &()).await?;
        let selected = bus.call::<_, bool>(&parent, "Selection", "SelectChild", &(index,)).await;
        if selected.unwrap_or(false) {
            return until(elements, choice, |now| now.is(State::Selected)).await.map(drop);
        }
    }
    point(desktop, choice, Pointing::Click).await
}

/// The number of the action that is a click.
async fn click_action(elements: &Elements, element: &Element) -> Result<Option<i32>> {
    // What a click on a field does depends on the place; a row's action is to open it, not to select it.
    let placed = matches!(element.role, Role::Entry | Role::PasswordText | Role::Terminal | Role::TableCell);
    if placed || !element.has("Action") {
        return Ok(None);
    }
    let bus = elements.bus().await?;
    let count: i32 = bus.property(&element.object, "Action", "NActions").await?;
    for index in 0..count.min(8) {
        let name: String = bus.call(&element.object, "Action", "GetName", &(index,)).await?;
        if CLICKS.contains(&name.to_lowercase().as_str()) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn enabled(element: &Element) -> Result<()> {
    if element.is_enabled() {
        return Ok(());
    }
    let message = format!("{} is disabled", super::describe(element));
    Err(Problem::new(Code::NotActionable, message).hint("find out what enables it: take a snapshot"))
}

/// Waits until an element is as it should be; its program tells when it changes.
async fn until(elements: &Elements, element: &Element, is: impl Fn(&Element) -> bool) -> Result<Element> {
    let mut changes = elements.changes().await?;
    let reached = async {
        loop {
            let now = elements.again(&element.object).await?;
            if is(&now) {
                return Ok(now);
            }
            changes.changed().await.map_err(|_| Problem::new(Code::DesktopEnded, "the desktop has ended"))?;
        }
    };
    tokio::time::timeout(SETTLING, reached).await.unwrap_or_else(|_| {
        Err(Problem::new(Code::NotActionable, format!("{} did not take it", super::describe(element))))
    })
}

/// Scrolls an element into sight.
///
/// # Errors
/// `not_actionable`: it is nowhere.
pub async fn scroll_to(desktop: &Desktop, element: &Element) -> Result<()> {
    desktop.elements().bring_into_sight(element).await.map(drop)
}

/// The element with these words that something can be put into or chosen from. A window that has just been opened or
/// moved tells its words before what is beside them; when nothing better comes, it is the words themselves.
///
/// # Errors
/// As [`wanted`].
pub async fn wanted_field(elements: &Elements, name: &str, words: &str) -> Result<Element> {
    let mut changes = elements.changes().await?;
    let first = wanted(elements, name, words).await?;
    if words.is_empty() || is_actionable(&first) {
        return Ok(first);
    }
    let better = async {
        loop {
            if let Ok(told) = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await {
                told.map_err(|_| Problem::new(Code::DesktopEnded, "the desktop has ended"))?;
            }
            let now = wanted(elements, name, words).await?;
            if is_actionable(&now) {
                return Ok(now);
            }
        }
    };
    tokio::time::timeout(PERHAPS, better).await.unwrap_or(Ok(first))
}

/// The element that is meant.
///
/// # Errors
/// As [`Elements::element`]; `invalid_argument` when it is named in no way or in both.
pub async fn wanted(elements: &Elements, name: &str, words: &str) -> Result<Element> {
    match (name.is_empty(), words.is_empty()) {
        (false, true) => elements.element(Wanted::Ref(name)).await,
        (true, false) => elements.element(Wanted::Words(words)).await,
        _ => Err(Problem::invalid("element", "give either element (a ref of snapshot) or text")),
    }
}
