//! Where an accessible object is: a program's connection to the accessibility bus, and a path in it.

use std::fmt;

use atspi::zbus::zvariant::OwnedObjectPath;

/// One object of one program.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Object {
    /// Name of the program's connection: no other connection gets it later.
    pub name: String,
    /// Path in the program.
    pub path: OwnedObjectPath,
}

/// The path that stands for "none".
const NULL: &str = "/org/a11y/atspi/null";

impl Object {
    /// From its parts; none when it stands for nothing.
    pub fn new(name: String, path: OwnedObjectPath) -> Option<Self> {
        (!name.is_empty() && path.as_str() != NULL).then_some(Self { name, path })
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.path.as_str())
    }
}
