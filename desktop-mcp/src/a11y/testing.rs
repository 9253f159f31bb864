//! Trees for tests.

use atspi::{Role, State, StateSet, zbus::zvariant::OwnedObjectPath};

use super::{Element, Node, Object, Tree};
use crate::geometry::Rect;

/// An element that shows, is enabled and has a place.
pub fn element(number: usize, role: Role, name: &str) -> Element {
    let path = OwnedObjectPath::try_from(format!("/o/{number}")).unwrap();
    let mut states = StateSet::empty();
    for state in [State::Showing, State::Visible, State::Enabled, State::Sensitive] {
        states.insert(state);
    }
    let place = Some(Rect::new(10, 10 * i32::try_from(number % 1000).unwrap(), 100, 10));
    Element {
        object: Object::new(":1.1".to_owned(), path).unwrap(),
        role,
        name: name.to_owned(),
        label: None,
        value: None,
        states,
        interfaces: Vec::new(),
        place,
        seen: place,
        child_count: 0,
    }
}

/// A program with one window that holds these.
pub fn tree(elements: impl IntoIterator<Item = Element>) -> Tree {
    let node = |element| Node { element, children: Vec::new(), unread: 0 };
    let mut program = node(element(998, Role::Application, "program"));
    program.children = vec![1];
    let mut nodes = vec![program, node(element(999, Role::Frame, "Window"))];
    for element in elements {
        let number = nodes.len();
        nodes[1].children.push(number);
        nodes.push(node(element));
    }
    Tree { nodes, process: Some(42), is_cut: None }
}
