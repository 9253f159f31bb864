//! Short names of elements. One keeps its name as long as it lives, over any number of snapshots, so that what a model
//! has read stays true.

use std::collections::{BTreeMap, HashMap};

use atspi::Role;

use super::{Element, Object};
use crate::error::{Code, Problem, Result};

/// Most names that are remembered.
const MOST: usize = 4096;

/// What a name stands for, as it was when it was last shown.
#[derive(Debug, Clone)]
pub struct Named {
    /// Where it is.
    pub object: Object,
    /// What kind it is: something else at the same place is something else.
    pub role: Role,
    /// The words beside it.
    pub label: Option<String>,
    /// How it was shown.
    pub shown: String,
}

/// All names of a desktop.
#[derive(Debug, Default)]
pub struct Refs {
    last: u32,
    names: HashMap<Object, u32>,
    named: BTreeMap<u32, Named>,
}

impl Refs {
    /// The name of an element, a new one when it has none. `shown` describes it.
    pub fn name(&mut self, element: &Element, shown: String) -> String {
        let Element { object, role, .. } = element;
        let known = self
            .names
            .get(object)
            .copied()
            .filter(|n| self.named.get(n).is_some_and(|old| old.role == *role));
        let number = known.unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        self.names.insert(object.clone(), number);
        self.named.insert(
            number,
            Named { object: object.clone(), role: *role, label: element.label.clone(), shown },
        );
        while self.named.len() > MOST {
            if let Some((number, old)) = self.named.pop_first()
                && self.names.get(&old.object) == Some(&number)
            {
                self.names.remove(&old.object);
            }
        }
        format!("e{number}")
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// `invalid_argument`: that is no name. `stale_element`: nothing has it, or not any more.
    pub fn get(&self, name: &str) -> Result<&Named> {
        let number: Option<u32> = name.strip_prefix('e').and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| {
            Problem::invalid("element", format!("{name:?} is no ref; refs of snapshot look like e12"))
                .hint("to name it by its words, use text instead")
        })?;
        self.named.get(&number).ok_or_else(|| {
            let message = match number {
                1.. if number <= self.last => format!("{name} is of an old snapshot"),
                _ => format!("no snapshot has shown an element {name}"),
            };
            Problem::new(Code::StaleElement, message).field("element")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::element;
    use super::*;

    #[test]
    fn an_element_keeps_its_name_until_it_is_something_else() {
        let mut refs = Refs::default();
        let mut one = element(1, Role::Button, "OK");
        let two = element(2, Role::Button, "Cancel");
        assert_eq!(refs.name(&one, "a".into()), "e1");
        assert_eq!(refs.name(&two, "b".into()), "e2");
        assert_eq!(refs.name(&one, "c".into()), "e1");
        assert_eq!(refs.get("e1").unwrap().shown, "c");
        one.role = Role::Label;
        assert_eq!(refs.name(&one, "d".into()), "e3");
        for (name, code) in
            [("e9", Code::StaleElement), ("OK", Code::InvalidArgument), ("e", Code::InvalidArgument)]
        {
            assert_eq!(refs.get(name).unwrap_err().code, code);
        }
    }

    #[test]
    fn old_names_are_forgotten_and_never_given_again() {
        let mut refs = Refs::default();
        for n in 0..=MOST {
            refs.name(&element(n, Role::Button, ""), String::new());
        }
        let forgotten = refs.get("e1").unwrap_err();
        assert!(forgotten.code == Code::StaleElement && forgotten.message.contains("old"), "{forgotten:?}");
        assert_eq!(refs.name(&element(0, Role::Button, ""), String::new()), format!("e{}", MOST + 2));
        assert_eq!((refs.names.len(), refs.named.len()), (MOST, MOST));
    }
}
