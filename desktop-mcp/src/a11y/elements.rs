//! The elements of one desktop: its connection to the accessibility bus, made when it is first needed, and their names.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{OnceCell, watch};

use super::changes::Changes;
use super::{
    Bounds, Bus, Element, Object, Outline, Refs, Tree, describe, find, label, outline, walk, walk_from,
};
use super::{point, read};
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;

/// The elements of one desktop.
#[derive(Debug, Default)]
pub struct Elements {
    /// Address of the desktop's session bus.
    address: String,
    bus: OnceCell<Bus>,
    changes: OnceCell<Changes>,
    refs: Mutex<Refs>,
}

/// How a tool names an element.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// By its name in a snapshot.
    Ref(&'a str),
    /// By its visible words.
    Words(&'a str),
}

impl Elements {
    /// On the session bus at an address.
    pub fn on(address: String) -> Self {
        Self { address, ..Self::default() }
    }

    fn refs(&self) -> MutexGuard<'_, Refs> {
        self.refs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bus.
    ///
    /// # Errors
    /// As [`Bus::connect`].
    pub async fn bus(&self) -> Result<&Bus> {
        self.bus.get_or_try_init(|| Bus::connect(&self.address)).await
    }

    /// What programs tell of changes from now on.
    ///
    /// # Errors
    /// As [`Bus::connect`].
    pub async fn changes(&self) -> Result<watch::Receiver<u64>> {
        let bus = self.bus().await?;
        Ok(self.changes.get_or_try_init(|| Changes::listen(bus)).await?.receiver())
    }

    /// The trees of all programs.
    ///
    /// # Errors
    /// As [`walk`].
    pub async fn trees(&self, bounds: Bounds) -> Result<Vec<Tree>> {
        let mut trees = walk(self.bus().await?, bounds).await?;
        trees.iter_mut().for_each(label);
        Ok(trees)
    }

    /// What is below one element.
    ///
    /// # Errors
    /// As [`Self::element`] and [`walk_from`].
    pub async fn trees_below(&self, wanted: Wanted<'_>, bounds: Bounds) -> Result<Vec<Tree>> {
        let element = self.element(wanted).await?;
        let mut tree = walk_from(self.bus().await?, element.object, None, bounds).await?;
        label(&mut tree);
        Ok(vec![tree])
    }

    /// Trees as text.
    pub fn outline(&self, trees: &[Tree], how: Outline<'_>) -> String {
        outline(trees, &mut self.refs(), how)
    }

    /// The element that is meant, as it is now.
    ///
    /// # Errors
    /// `stale_element`, `not_found`, `not_unique`.
    pub async fn element(&self, wanted: Wanted<'_>) -> Result<Element> {
        match wanted {
            Wanted::Words(words) => {
                let trees = self.trees(Bounds::default()).await?;
                find(&trees, words, &mut self.refs()).map_err(|problem| {
                    if problem.code == Code::NotFound && trees.iter().any(|tree| tree.is_cut.is_some()) {
                        let message = format!("{}, but a program did not tell all in time", problem.message);
                        return Problem { message, ..problem }.hint("call again, or use a ref of snapshot");
                    }
                    problem
                })
            }
            Wanted::Ref(name) => {
                let named = self.refs().get(name)?.clone();
                let shown = named.shown;
                let gone = |why: &str| {
                    Problem::new(Code::StaleElement, format!("{name} ({shown}) {why}")).field("element")
                };
                let mut element = self.again(&named.object).await.map_err(|problem| match problem.code {
                    Code::StaleElement => gone("is gone"),
                    _ => problem,
                })?;
                if element.role != named.role {
                    return Err(gone("has become something else"));
                }
                if element.is(atspi::State::Defunct) {
                    return Err(gone("is gone"));
                }
                element.label = named.label;
                Ok(element)
            }
        }
    }

    /// An object as it is now, and where of it can be seen.
    ///
    /// # Errors
    /// As [`Bus::call`].
    pub async fn again(&self, object: &Object) -> Result<Element> {
        let bus = self.bus().await?;
        let mut element = read::read(bus, object.clone(), None, true).await?;
        element.seen = match element.place {
            Some(place) => point::seen(bus, object, place).await?,
            None => None,
        };
        Ok(element)
    }

    /// An element in words, with its name.
    pub fn told(&self, element: &Element) -> String {
        let described = describe(element);
        let name = self.refs().name(element, described.clone());
        format!("{name} {described}")
    }

    /// Where an element can be seen, after it was scrolled there when it was out of sight.
    ///
    /// # Errors
    /// `not_actionable`: it is nowhere.
    pub async fn bring_into_sight(&self, element: &Element) -> Result<Rect> {
        point::bring_into_sight(self, element).await
    }
}
