//! A tree as indented text: one line for what has words or can be acted on, `role "name" states = "value"`, with a
//! reference before what can be acted on. What only holds others has no line. Cut at a budget of bytes.

use std::fmt::Write as _;

use atspi::{Role, State};

use super::role::{Kind, is_actionable, kind, states, word};
use super::{Cut, Element, Node, Refs, Tree};
use crate::geometry::Mapping;

/// What of it is written, and how.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a> {
    /// Only lines with these words, and what leads to them; all when empty.
    pub only: &'a str,
    /// With the middle of each element, in pixels of this picture.
    pub places: Option<Mapping>,
    /// Most bytes.
    pub longest: usize,
}

/// Writes all trees, the window that has the focus first.
pub fn outline(trees: &[Tree], refs: &mut Refs, how: Outline<'_>) -> String {
    let mut lines = Vec::new();
    let mut windows: Vec<(&Tree, usize)> = trees.iter().flat_map(tops).collect();
    windows.sort_by_key(|(tree, at)| !tree.nodes.get(*at).is_some_and(|node| node.element.is(State::Active)));
    for (tree, at) in windows {
        let before = lines.len();
        lay(tree, at, 0, None, &mut lines);
        // A window with nothing in it that has no name either: helpers of toolkits.
        if lines.len() == before + 1 && lines.last().is_some_and(|line| line.node.element.name.is_empty()) {
            lines.truncate(before);
        }
    }
    if !how.only.is_empty() {
        lines = matching(lines, how.only);
    }
    let mut text = write(&lines, refs, how);
    for tree in trees {
        text.extend(note(tree));
    }
    if text.is_empty() {
        text = match how.only {
            "" => "No program tells of itself over accessibility.".to_owned(),
            only => format!("Nothing has the words {only:?}."),
        };
    }
    text
}

/// Where a tree's text begins: at its windows, or at its first node when it is a part of a program.
fn tops(tree: &Tree) -> Vec<(&Tree, usize)> {
    match tree.nodes.first() {
        Some(first) if first.element.role == Role::Application => {
            first.children.iter().map(|child| (tree, *child)).collect()
        }
        Some(_) => vec![(tree, 0)],
        None => Vec::new(),
    }
}

/// One line to be.
struct Line<'a> {
    tree: &'a Tree,
    node: &'a Node,
    depth: usize,
}

fn lay<'a>(tree: &'a Tree, at: usize, depth: usize, above: Option<&'a Element>, lines: &mut Vec<Line<'a>>) {
    let Some(node) = tree.nodes.get(at) else { return };
    let shown = is_shown(node, above);
    if shown {
        lines.push(Line { tree, node, depth });
    }
    let (depth, above) = if shown { (depth + 1, Some(&node.element)) } else { (depth, above) };
    for child in &node.children {
        lay(tree, *child, depth, above, lines);
    }
}

/// Whether it is worth a line, below the line of `above`.
pub(super) fn is_shown(node: &Node, above: Option<&Element>) -> bool {
    let element = &node.element;
    if !element.exists() {
        return false;
    }
    let said =
        above.is_some_and(|above| above.name == element.name || above.label.as_ref() == Some(&element.name));
    let has_words = !element.name.is_empty() || element.value.as_ref().is_some_and(|value| !value.is_empty());
    match kind(element) {
        Kind::Window | Kind::Control => true,
        Kind::Holder => !said && (has_words || element.is(State::Focusable)),
        Kind::Words => has_words && !said,
        Kind::Frame => !element.name.is_empty() && !said && element.is(State::Focusable),
    }
}

/// Lines with the words, and those that they are below.
fn matching<'a>(lines: Vec<Line<'a>>, only: &str) -> Vec<Line<'a>> {
    let only = only.to_lowercase();
    let mut keep = vec![false; lines.len()];
    for (at, line) in lines.iter().enumerate() {
        if describe(&line.node.element).to_lowercase().contains(&only) {
            keep[at] = true;
            let mut depth = line.depth;
            for above in (0..at).rev() {
                if lines[above].depth < depth {
                    depth = lines[above].depth;
                    keep[above] = true;
                }
            }
        }
    }
    lines.into_iter().zip(keep).filter_map(|(line, keep)| keep.then_some(line)).collect()
}

fn write(lines: &[Line<'_>], refs: &mut Refs, how: Outline<'_>) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let element = &line.node.element;
        let described = describe(element);
        let mut words = "  ".repeat(line.depth);
        if is_actionable(element) {
            let name = refs.name(element, described.clone());
            let _ = write!(words, "{name} ");
        }
        words.push_str(&described);
        if let (Some(mapping), Some(seen)) = (how.places, element.seen) {
            let (x, y) = mapping.to_picture(seen.center().0, seen.center().1);
            let _ = write!(words, " at {x},{y}");
        }
        if kind(element) == Kind::Window
            && let Some(program) =
                line.tree.nodes.first().filter(|first| first.element.role == Role::Application)
        {
            let _ = write!(words, " of {}", program.element.name);
            let _ = line.tree.process.map(|process| write!(words, " (process {process})"));
        }
        if line.node.unread > 0 {
            let _ = write!(words, " ({} more not read)", line.node.unread);
        }
        if text.len() + words.len() > how.longest {
            let left = lines.len() - at;
            let _ = writeln!(
                text,
                "[{left} more lines: give element or only to see a part, or a larger max_bytes]"
            );
            break;
        }
        text.push_str(&words);
        text.push('\n');
    }
    text
}

/// An element in words, without its reference.
pub fn describe(element: &Element) -> String {
    let mut words = word(element).to_owned();
    let label = element.label.as_ref().filter(|label| **label != element.name);
    if let Some(label) = label {
        let _ = write!(words, " {label:?}");
    }
    if !element.name.is_empty() {
        // Of a field that others name it is what is chosen.
        let _ = if label.is_some() {
            write!(words, " = {:?}", element.name)
        } else {
            write!(words, " {:?}", element.name)
        };
    }
    for state in states(element) {
        let _ = write!(words, " {state}");
    }
    if let Some(value) =
        element.value.as_ref().filter(|value| !value.is_empty() || element.is(State::Editable))
    {
        let _ = write!(words, " = {value:?}");
    }
    words
}

fn note(tree: &Tree) -> Option<String> {
    let program = tree.nodes.first().map(|node| node.element.name.as_str()).filter(|name| !name.is_empty());
    let program = match (program, tree.process) {
        (Some(name), _) => name.to_owned(),
        (None, Some(process)) => format!("process {process}"),
        (None, None) => "a program".to_owned(),
    };
    match tree.is_cut? {
        Cut::Time => Some(format!(
            "[{program} did not answer in time: it may hang; what it shows is not, or not all, here]\n"
        )),
        Cut::Nodes => {
            Some(format!("[{program} has more elements than are read: give element to read a part]\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{element, tree};
    use super::*;
    use crate::geometry::Rect;

    const ALL: Outline<'_> = Outline { only: "", places: None, longest: 10_000 };

    fn form() -> Tree {
        let mut field = element(2, Role::Entry, "");
        (field.label, field.value) = (Some("Name".to_owned()), Some(String::new()));
        field.states.insert(State::Editable);
        field.states.insert(State::Focused);
        let mut far = element(4, Role::Button, "Far");
        far.seen = None;
        far.states.remove(State::Enabled);
        let mut hidden = element(5, Role::MenuItem, "Hidden");
        hidden.place = None;
        tree([element(1, Role::Label, "Name"), field, element(3, Role::Filler, ""), far, hidden])
    }

    #[test]
    fn what_can_be_acted_on_has_a_ref_and_what_only_holds_has_no_line() {
        let text = outline(&[form()], &mut Refs::default(), ALL);
        let expected = "\
            e1 window \"Window\" of program (process 42)\n  text \"Name\"\n  \
            e2 text field \"Name\" focused = \"\"\n  e3 button \"Far\" disabled out of sight\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn lines_are_chosen_by_words_with_what_leads_to_them() {
        let only = Outline { only: "far", ..ALL };
        let text = outline(&[form()], &mut Refs::default(), only);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.ends_with("e2 button \"Far\" disabled out of sight\n"), "{text}");
        let none = Outline { only: "zebra", ..ALL };
        assert_eq!(outline(&[form()], &mut Refs::default(), none), "Nothing has the words \"zebra\".");
    }

    #[test]
    fn a_budget_cuts_and_says_so_and_a_hung_program_is_named() {
        let cut = Outline { longest: 60, ..ALL };
        let text = outline(&[form()], &mut Refs::default(), cut);
        assert!(text.contains("[2 more lines"), "{text}");
        let hung = Tree { process: Some(7), is_cut: Some(Cut::Time), ..Tree::default() };
        assert!(outline(&[hung], &mut Refs::default(), ALL).starts_with("[process 7 did not answer"));
        assert_eq!(outline(&[], &mut Refs::default(), ALL), "No program tells of itself over accessibility.");
    }

    #[test]
    fn places_are_in_pixels_of_the_picture() {
        let mapping = Mapping::fit(Rect::new(0, 0, 2000, 1000), 1000);
        let text = outline(&[form()], &mut Refs::default(), Outline { places: Some(mapping), ..ALL });
        assert!(text.contains("text \"Name\" at 30,7\n"), "{text}");
    }
}
