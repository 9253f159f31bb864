//! Reads one accessible object. All its calls are on their way at once; what an object does not have is left out, and
//! what is longer than an outline needs is cut.

use atspi::{Role, State, StateSet, zbus::zvariant::OwnedObjectPath};

use super::role::{Kind, kind};
use super::{Bus, Element, Object};
use crate::error::{Code, Result};
use crate::geometry::Rect;

/// Longest name or value, in characters.
pub const LONGEST: usize = 200;
/// Extents are asked for in coordinates of the screen.
pub const SCREEN: u32 = 0;

/// A reference as it is on the bus.
pub type RawObject = (String, OwnedObjectPath);

/// Reads it. `clip` is what can be seen of whatever holds it. Of what is not visible only that is read, unless `hidden`
/// asks for all: browsers have more invisible objects than visible ones.
///
/// # Errors
/// As [`Bus::call`]; a missing name or place is none.
pub async fn read(bus: &Bus, object: Object, clip: Option<Rect>, hidden: bool) -> Result<Element> {
    let (role, states) = tokio::try_join!(
        bus.call::<_, u32>(&object, "Accessible", "GetRole", &()),
        bus.call::<_, Vec<u32>>(&object, "Accessible", "GetState", &()),
    )?;
    let mut element = Element {
        role: Role::try_from(role).unwrap_or(Role::Unknown),
        states: state_set(&states),
        interfaces: Vec::new(),
        name: String::new(),
        label: None,
        value: None,
        seen: None,
        place: None,
        child_count: 0,
        object,
    };
    let visible =
        element.is(State::Visible) || element.is(State::Showing) || element.role == Role::Application;
    if visible || hidden {
        read_rest(bus, &mut element, clip).await?;
    }
    Ok(element)
}

async fn read_rest(bus: &Bus, element: &mut Element, clip: Option<Rect>) -> Result<()> {
    let object = &element.object;
    let (interfaces, name, children, extents) = tokio::join!(
        bus.call::<_, Vec<String>>(object, "Accessible", "GetInterfaces", &()),
        bus.property::<String>(object, "Accessible", "Name"),
        bus.property::<i32>(object, "Accessible", "ChildCount"),
        bus.call::<_, (i32, i32, i32, i32)>(object, "Component", "GetExtents", &(SCREEN,)),
    );
    let place = extents.ok().and_then(rect);
    element.seen = place.and_then(|place| clip.map_or(Some(place), |clip| clip.common(&place)));
    element.place = place;
    let interfaces = interfaces.unwrap_or_default();
    element.interfaces =
        interfaces.iter().filter_map(|name| name.rsplit('.').next()).map(str::to_owned).collect();
    element.name = cut(&optional(name)?.unwrap_or_default());
    element.child_count =
        optional(children)?.and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    if element.name.is_empty() && kind(element) == Kind::Control {
        let described = optional(bus.property::<String>(&element.object, "Accessible", "Description").await)?;
        element.name = cut(&described.unwrap_or_default());
    }
    element.value = value(bus, element).await?;
    Ok(())
}

/// Nothing instead of a failure that only says that the object does not have it.
fn optional<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(problem) if problem.code == Code::NotActionable => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Extents as a rectangle. Unmapped widgets are at the end of all numbers, without a size.
pub fn rect((x, y, width, height): (i32, i32, i32, i32)) -> Option<Rect> {
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    (x > i32::MIN && y > i32::MIN && width > 0 && height > 0).then(|| Rect::new(x, y, width, height))
}

/// States that this crate does not know are dropped.
fn state_set(words: &[u32]) -> StateSet {
    const LAST: u64 = State::ReadOnly as u64;
    let low = words.first().copied().map_or(0, u64::from);
    let bits = words.get(1).copied().map_or(0, u64::from) << 32 | low;
    StateSet::from_bits(bits & (LAST | (LAST - 1))).unwrap_or_default()
}

async fn value(bus: &Bus, element: &Element) -> Result<Option<String>> {
    let object = &element.object;
    let typed = matches!(element.role, Role::Entry | Role::Text | Role::Terminal | Role::SpinButton);
    if element.role == Role::PasswordText {
        let count = optional(bus.property::<i32>(object, "Text", "CharacterCount").await)?;
        return Ok(count.filter(|count| *count > 0).map(|count| format!("{count} hidden characters")));
    }
    if element.has("Text") && (typed || element.is(State::Editable)) {
        return Ok(optional(text(bus, object, LONGEST).await)?.map(|text| cut(&text)));
    }
    let measured = matches!(
        element.role,
        Role::Slider | Role::ProgressBar | Role::ScrollBar | Role::Dial | Role::LevelBar | Role::SpinButton
    );
    if element.has("Value") && measured {
        let value = optional(bus.property::<f64>(object, "Value", "CurrentValue").await)?;
        return Ok(value.map(|value| format!("{}", (value * 1000.0).round() / 1000.0)));
    }
    Ok(None)
}

/// The beginning of its text.
///
/// # Errors
/// As [`Bus::call`].
pub async fn text(bus: &Bus, object: &Object, longest: usize) -> Result<String> {
    let end = i32::try_from(longest).unwrap_or(i32::MAX);
    let count: i32 = bus.property(object, "Text", "CharacterCount").await?;
    bus.call(object, "Text", "GetText", &(0_i32, end.min(count))).await
}

/// White space in one, no control characters, and no more than an outline needs.
fn cut(text: &str) -> String {
    let mut short = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !short.is_empty() {
            short.push(' ');
        }
        // Stands for something within the text that has its own place in the tree.
        short.extend(word.chars().filter(|c| *c != '\u{fffc}').take(LONGEST + 1));
        if let Some((at, _)) = short.char_indices().nth(LONGEST) {
            short.truncate(at);
            short.push('…');
            break;
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_to_one_line() {
        assert_eq!(cut("  a\n\tb\u{0}c "), "a b c");
        assert_eq!(cut(&"x".repeat(10_000)).chars().count(), LONGEST + 1);
        assert_eq!(cut(&"é ".repeat(10_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn states_are_known_ones_and_places_real() {
        let focused = 1 << 12;
        let set = state_set(&[focused, u32::MAX]);
        assert!(
            set.contains(State::Focused) && set.contains(State::ReadOnly) && !set.contains(State::Active)
        );
        assert_eq!(rect((i32::MIN, i32::MIN, 1, 1)), None);
        assert_eq!(rect((0, 0, -1, 5)), None);
        assert_eq!(rect((-3, 4, 1, 5)), Some(Rect::new(-3, 4, 1, 5)));
    }
}
