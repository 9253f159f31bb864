//! All desktops of a server.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::broadcast;

use super::desktop::Desktop;
use super::start::{Wish, start};
use crate::error::{Code, Problem, Result};
use crate::x::Happened;

/// Most desktops at a time: each takes some 60 MB.
const MOST: usize = 8;

#[derive(Debug, Default)]
struct Books {
    last: u32,
    /// How many are starting.
    starting: usize,
    running: BTreeMap<u32, Arc<Desktop>>,
}

/// All desktops of a server; clones share them.
#[derive(Debug, Clone)]
pub struct Desktops {
    books: Arc<Mutex<Books>>,
    keeper: PathBuf,
}

impl Default for Desktops {
    fn default() -> Self {
        // This program, also after its file was replaced.
        Self::kept_by("/proc/self/exe".into())
    }
}

impl Desktops {
    /// With another program as keeper: one that calls [`super::keep`] on `keep-desktop DIRECTORY`.
    pub fn kept_by(keeper: PathBuf) -> Self {
        Self { books: Arc::default(), keeper }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one.
    ///
    /// # Errors
    /// `too_many_desktops`, `not_installed`, `not_started`.
    pub async fn start(&self, wish: Wish) -> Result<Arc<Desktop>> {
        let place = Place::take(self)?;
        let desktop = Arc::new(start(format!("d{}", place.number), wish, &self.keeper).await?);
        self.books().running.insert(place.number, Arc::clone(&desktop));
        tokio::spawn(end_with_server(desktop.happenings().listen(), Arc::downgrade(&desktop)));
        Ok(desktop)
    }

    /// The one of this id, or the newest.
    ///
    /// # Errors
    /// `unknown_desktop`, `desktop_ended`.
    pub fn get(&self, id: Option<&str>) -> Result<Arc<Desktop>> {
        let books = self.books();
        let found = match id {
            Some(id) => books.running.values().find(|desktop| desktop.id() == id),
            None => books.running.values().rev().find(|desktop| !desktop.ended().is_cancelled()),
        };
        let desktop = found.ok_or_else(|| {
            let problem = match id {
                Some(id) => Problem::new(Code::UnknownDesktop, format!("there is no desktop {id:?}")),
                None => Problem::new(Code::UnknownDesktop, "there is no desktop yet"),
            };
            problem.field("desktop")
        })?;
        if desktop.ended().is_cancelled() {
            let message = format!("desktop {} has ended: its X server or keeper is gone", desktop.id());
            return Err(Problem::new(Code::DesktopEnded, message));
        }
        Ok(Arc::clone(desktop))
    }

    /// As tools name it: empty for the newest.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn named(&self, id: &str) -> Result<Arc<Desktop>> {
        self.get(Some(id).filter(|id| !id.is_empty()))
    }

    /// All, oldest first.
    pub fn all(&self) -> Vec<Arc<Desktop>> {
        self.books().running.values().cloned().collect()
    }

    /// Ends one and waits until nothing of it is left.
    ///
    /// # Errors
    /// `unknown_desktop`, or what kept its directory from being removed.
    pub async fn stop(&self, id: &str) -> Result<()> {
        let stopped = {
            let mut books = self.books();
            let number =
                books.running.iter().find(|(_, desktop)| desktop.id() == id).map(|(number, _)| *number);
            number.and_then(|number| books.running.remove(&number))
        };
        let unknown = || Problem::new(Code::UnknownDesktop, format!("there is no desktop {id:?}"));
        stopped.ok_or_else(|| unknown().field("desktop"))?.stop().await
    }

    /// Ends all.
    pub async fn stop_all(&self) {
        let all = std::mem::take(&mut self.books().running);
        for desktop in all.values() {
            desktop.end();
        }
        for desktop in all.values() {
            if let Err(problem) = desktop.stop().await {
                tracing::warn!("desktop {}: {problem}", desktop.id());
            }
        }
    }
}

/// A desktop without its X server is of no use to the programs in it.
async fn end_with_server(mut happened: broadcast::Receiver<Happened>, desktop: Weak<Desktop>) {
    loop {
        match happened.recv().await {
            Ok(Happened::Ended) | Err(broadcast::error::RecvError::Closed) => break,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
        }
    }
    if let Some(desktop) = desktop.upgrade() {
        desktop.end();
    }
}

/// A place among the desktops while one starts.
struct Place<'a> {
    desktops: &'a Desktops,
    number: u32,
}

impl<'a> Place<'a> {
    fn take(desktops: &'a Desktops) -> Result<Self> {
        let mut books = desktops.books();
        if books.running.len() + books.starting >= MOST {
            return Err(Problem::new(
                Code::TooManyDesktops,
                format!("{MOST} desktops run, the most there may be"),
            ));
        }
        books.starting += 1;
        books.last += 1;
        Ok(Self { desktops, number: books.last })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.desktops.books().starting -= 1;
    }
}
