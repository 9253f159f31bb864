//! An element by its visible words.

use atspi::State;

use super::outline::{describe, is_shown};
use super::role::is_actionable;
use super::{Bounds, Element, Elements, Refs, Tree, walk_from};
use crate::error::{Code, Problem, Result};

/// How many are told when several fit.
const TOLD: usize = 8;

/// How well an element fits; the least is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    partly: bool,
    only_words: bool,
    out_of_sight: bool,
    other_window: bool,
}

/// The element that has these words: rather all than some of them, rather one to be acted on than mere text, rather in
/// sight, rather in the window that has the focus.
///
/// # Errors
/// `not_found`; `not_unique`, with the references of those that fit equally well.
pub fn find(trees: &[Tree], words: &str, refs: &mut Refs) -> Result<Element> {
    let wanted = words.trim().to_lowercase();
    if wanted.is_empty() {
        return Err(Problem::invalid("text", "there are no words to look for"));
    }
    let mut found: Vec<(Fit, &Element)> = trees.iter().flat_map(|tree| fits(tree, &wanted)).collect();
    found.sort_by_key(|(fit, _)| *fit);
    let Some((best, first)) = found.first().copied() else {
        return Err(
            Problem::new(Code::NotFound, format!("nothing in sight has the words {words:?}")).field("text")
        );
    };
    let equal: Vec<&Element> =
        found.iter().take_while(|(fit, _)| *fit == best).map(|(_, element)| *element).collect();
    if equal.len() == 1 {
        return Ok(first.clone());
    }
    let told: Vec<String> = equal
        .iter()
        .take(TOLD)
        .map(|element| {
            let described = describe(element);
            format!("{} {described}", refs.name(element, described.clone()))
        })
        .collect();
    let message = format!("{words:?} fits {} elements: {}", equal.len(), told.join("; "));
    Err(Problem::new(Code::NotUnique, message).field("text"))
}

/// Whether anything that shows has these words.
pub fn shows(trees: &[Tree], words: &str, role: &str) -> Option<Element> {
    let wanted = words.trim().to_lowercase();
    let role = role.trim().to_lowercase();
    let all = trees.iter().flat_map(|tree| &tree.nodes).filter(|node| is_shown(node, None));
    all.map(|node| &node.element)
        .find(|element| {
            let fits_role =
                role.is_empty() || super::role::word(element) == role || element.role.name() == role;
            fits_role && said(element).any(|text| text.to_lowercase().contains(&wanted))
        })
        .cloned()
}

/// What has these words, or only these when there is such, below an element, whether it shows already or not.
///
/// # Errors
/// The element or its program is gone.
pub async fn find_below(elements: &Elements, element: &Element, words: &str) -> Result<Option<Element>> {
    let bounds = Bounds { hidden: true, ..Bounds::default() };
    let tree = walk_from(elements.bus().await?, element.object.clone(), None, bounds).await?;
    let below = tree.nodes.iter().skip(1).map(|node| &node.element);
    Ok(best(below.filter(|element| is_choice(element)), words))
}

/// The same among all that can be chosen and is somewhere.
pub fn choice(trees: &[Tree], words: &str) -> Option<Element> {
    let all = trees.iter().flat_map(|tree| &tree.nodes).map(|node| &node.element);
    best(all.filter(|element| element.exists() && is_choice(element)), words)
}

fn is_choice(element: &Element) -> bool {
    use atspi::Role as R;
    matches!(
        element.role,
        R::MenuItem
            | R::Menu
            | R::CheckMenuItem
            | R::RadioMenuItem
            | R::ListItem
            | R::TableCell
            | R::TreeItem
            | R::PageTab
            | R::Icon
            | R::RadioButton
            | R::TableRow
    ) || element.is(State::Selectable)
}

fn best<'a>(choices: impl Iterator<Item = &'a Element>, words: &str) -> Option<Element> {
    let wanted = words.trim().to_lowercase();
    let mut partly = None;
    for element in choices {
        let name = element.name.to_lowercase();
        if name == wanted {
            return Some(element.clone());
        }
        if partly.is_none() && name.contains(&wanted) {
            partly = Some(element);
        }
    }
    partly.cloned()
}

fn said(element: &Element) -> impl Iterator<Item = &str> {
    let texts = [element.label.as_deref(), Some(element.name.as_str()), element.value.as_deref()];
    texts.into_iter().flatten()
}

fn fits<'a>(tree: &'a Tree, wanted: &str) -> Vec<(Fit, &'a Element)> {
    let active = tree.nodes.iter().any(|node| node.element.is(State::Active));
    let shown = tree.nodes.iter().filter(|node| is_shown(node, None)).map(|node| &node.element);
    shown
        .filter_map(|element| {
            let partly = match said(element).map(str::to_lowercase).find(|text| text.contains(wanted)) {
                Some(text) => text != wanted,
                None => return None,
            };
            let fit = Fit {
                partly,
                only_words: !is_actionable(element),
                out_of_sight: element.seen.is_none(),
                other_window: !active,
            };
            Some((fit, element))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use atspi::Role;

    use super::super::testing::{element, tree};
    use super::*;

    #[test]
    fn the_best_fit_is_found_and_equal_ones_are_told() {
        let trees = [tree([
            element(1, Role::Label, "Save"),
            element(2, Role::Button, "Save"),
            element(3, Role::Button, "Save as"),
            element(4, Role::Button, "Close"),
            element(5, Role::Button, "close"),
        ])];
        let mut refs = Refs::default();
        let found = find(&trees, " save ", &mut refs).unwrap();
        assert_eq!((found.role, found.name.as_str()), (Role::Button, "Save"));
        assert_eq!(find(&trees, "as", &mut refs).unwrap().name, "Save as");
        let several = find(&trees, "Close", &mut refs).unwrap_err();
        assert_eq!(several.code, Code::NotUnique);
        assert!(several.message.contains("e1 button \"Close\"; e2 button \"close\""), "{}", several.message);
        assert_eq!(find(&trees, "zebra", &mut refs).unwrap_err().code, Code::NotFound);
        assert_eq!(find(&trees, " ", &mut refs).unwrap_err().code, Code::InvalidArgument);
        assert_eq!(shows(&trees, "as", "button").unwrap().name, "Save as");
        assert!(shows(&trees, "as", "text").is_none());
    }
}
