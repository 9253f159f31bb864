//! One accessible object as it was read.

use atspi::{Role, State, StateSet};

use super::Object;
use crate::geometry::Rect;

/// What was read of an object.
#[derive(Debug, Clone)]
pub struct Element {
    /// Where it is.
    pub object: Object,
    /// What kind it is.
    pub role: Role,
    /// Its name, cut.
    pub name: String,
    /// The words beside it, of a field without a name of its own.
    pub label: Option<String>,
    /// Its text or value, cut; none where it has none.
    pub value: Option<String>,
    /// How it is.
    pub states: StateSet,
    /// Interfaces that it has, without the common beginning of their names.
    pub interfaces: Vec<String>,
    /// Where it is on the screen; none when it is nowhere.
    pub place: Option<Rect>,
    /// Where of it can be seen: within all that holds it.
    pub seen: Option<Rect>,
    /// How many children it says it has.
    pub child_count: usize,
}

impl Element {
    /// Whether it is in a state.
    pub fn is(&self, state: State) -> bool {
        self.states.contains(state)
    }

    /// Whether it is somewhere, though perhaps scrolled out of sight: then some toolkits say that it does not show.
    pub fn exists(&self) -> bool {
        self.place.is_some() && (self.is(State::Visible) || self.is(State::Showing))
    }

    /// Whether it takes what is done to it.
    pub fn is_enabled(&self) -> bool {
        self.is(State::Sensitive) && self.is(State::Enabled)
    }

    /// Whether it has an interface.
    pub fn has(&self, interface: &str) -> bool {
        self.interfaces.iter().any(|own| own == interface)
    }
}

/// An object and what is below it.
#[derive(Debug, Clone)]
pub struct Node {
    /// The object.
    pub element: Element,
    /// Numbers of the nodes below it, in order.
    pub children: Vec<usize>,
    /// How many of its children were not read.
    pub unread: usize,
}
