//! The words beside a field that has no name of its own: what a person reads as its label.

use atspi::{Role, State};

use super::{Element, Tree};
use crate::geometry::Rect;

/// Farthest that a label is from its field, in pixels.
const NEAR: i32 = 240;

/// Gives fields without a name that of the nearest label to the left of them or above them, in the same window.
pub fn label(tree: &mut Tree) {
    let windows = match tree.nodes.first() {
        Some(first) if first.element.role == Role::Application => first.children.clone(),
        Some(_) => vec![0],
        None => Vec::new(),
    };
    for window in windows {
        let mut inside = vec![window];
        let mut next = 0;
        while let Some(node) = inside.get(next).and_then(|at| tree.nodes.get(*at)) {
            inside.extend(&node.children);
            next += 1;
        }
        label_window(tree, &inside);
    }
}

fn label_window(tree: &mut Tree, inside: &[usize]) {
    let elements = inside.iter().filter_map(|at| tree.nodes.get(*at)).map(|node| &node.element);
    let labels: Vec<(Rect, String)> = elements
        .filter(|element| matches!(element.role, Role::Label | Role::Static) && !element.name.is_empty())
        .filter_map(|element| Some((element.seen?, element.name.clone())))
        .collect();
    for at in inside {
        let Some(element) = tree.nodes.get_mut(*at).map(|node| &mut node.element) else { continue };
        if let Some(place) = element.place.filter(|_| lacks_name(element)) {
            let near = labels.iter().filter_map(|(at, name)| Some((distance(*at, place)?, name)));
            element.label = near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name.clone());
        }
    }
}

fn lacks_name(element: &Element) -> bool {
    let field = matches!(
        element.role,
        Role::Entry
            | Role::PasswordText
            | Role::ComboBox
            | Role::SpinButton
            | Role::Slider
            | Role::Table
            | Role::List
            | Role::ListBox
            | Role::TreeTable
            | Role::Tree
    );
    // In GTK the name of a box of choices is what is chosen; in Chromium the box is also a text, and its name its own.
    let chosen = element.role == Role::ComboBox && !element.has("Text");
    (field || element.is(State::Editable)) && (element.name.is_empty() || chosen)
}

/// How far a label is from a field: to the left on the same line, or above and a bit worse for it.
fn distance(label: Rect, field: Rect) -> Option<i32> {
    let beside = label.y < field.bottom() && label.bottom() > field.y && label.right() <= field.x + 2;
    let above = label.x < field.right() && label.right() > field.x && label.bottom() <= field.y + 2;
    let distance = match (beside, above) {
        (true, _) => field.x - label.right(),
        (_, true) => 2 * (field.y - label.bottom()) + 8,
        _ => return None,
    };
    (distance <= NEAR).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{element, tree};
    use super::*;

    #[test]
    fn a_field_is_labelled_by_the_words_left_of_it_or_above() {
        let place = |mut element: Element, x, y, width| {
            element.place = Some(Rect::new(x, y, width, 20));
            element.seen = element.place;
            element
        };
        let mut tree = tree([
            place(element(1, Role::Label, "Name"), 0, 0, 50),
            place(element(2, Role::Entry, ""), 60, 0, 100),
            place(element(3, Role::Label, "Notes"), 0, 30, 50),
            place(element(4, Role::Entry, ""), 0, 52, 100),
            place(element(5, Role::Entry, "Own"), 0, 80, 100),
            place(element(6, Role::Entry, ""), 900, 900, 100),
        ]);
        label(&mut tree);
        let labels: Vec<_> = tree.nodes.iter().map(|node| node.element.label.as_deref()).collect();
        assert_eq!(labels[2..], [None, Some("Name"), None, Some("Notes"), None, None]);
    }
}
