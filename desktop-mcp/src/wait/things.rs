//! Waiting for windows, elements and texts to come or to go. Whenever the X server or a program says that something has
//! changed, it is looked for; while that takes, changes are only noted.

use crate::a11y::{Bounds, describe, shows};
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::ocr;
use crate::see::{whole, windows};
use crate::session::Desktop;
use crate::x::Happened;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::next_paint;

/// What is waited for.
#[derive(Debug, Clone)]
pub enum Thing {
    /// A window whose title or class has these words.
    Window(String),
    /// An element of this role (any when empty) with these words.
    Element {
        /// Role as a snapshot names it.
        role: String,
        /// Its words.
        words: String,
    },
    /// These words in any element or title.
    Text(String),
    /// These words in the picture of a part of the screen, or of all that it is by then.
    Picture(String, Rect),
}

/// Waits until it is there, or until it is `gone`; what was found.
///
/// # Errors
/// `desktop_ended`, or what looking for it needs and is not there.
pub async fn thing(desktop: &Desktop, thing: &Thing, gone: bool) -> Result<Option<String>> {
    let mut happened = desktop.happenings().listen();
    let mut told = match thing {
        Thing::Window(_) | Thing::Picture(..) => None,
        Thing::Element { .. } | Thing::Text(_) => Some(desktop.elements().changes().await?),
    };
    loop {
        let found = look(desktop, thing).await?;
        if found.is_some() != gone {
            return Ok(found);
        }
        let told = async {
            match &mut told {
                Some(told) => told.changed().await.map_err(|_| ended()),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = told => told?,
            changed = next(&mut happened, thing) => changed?,
        }
    }
}

/// The next that the X server tells and that may have to do with it.
async fn next(happened: &mut Receiver<Happened>, thing: &Thing) -> Result<()> {
    if let Thing::Picture(_, area) = thing {
        return next_paint(happened, *area).await.map(drop);
    }
    loop {
        match happened.recv().await {
            Ok(Happened::Windows) | Err(RecvError::Lagged(_)) => return Ok(()),
            Ok(Happened::Ended) | Err(RecvError::Closed) => return Err(ended()),
            Ok(_) => {}
        }
    }
}

fn ended() -> Problem {
    Problem::new(Code::DesktopEnded, "the desktop has ended")
}

async fn look(desktop: &Desktop, thing: &Thing) -> Result<Option<String>> {
    match thing {
        Thing::Window(words) => window(desktop, words).await,
        Thing::Element { role, words } => element(desktop, role, words).await,
        Thing::Text(words) => match window(desktop, words).await? {
            Some(window) => Ok(Some(window)),
            None => element(desktop, "", words).await,
        },
        Thing::Picture(words, area) => {
            let lines = ocr::read_screen(desktop, *area, ocr::ENGLISH).await?;
            let found = ocr::find(&lines, words);
            let view = whole(desktop).await?;
            Ok(found.first().map(|found| found.told(&view)))
        }
    }
}

async fn window(desktop: &Desktop, words: &str) -> Result<Option<String>> {
    let wanted = words.to_lowercase();
    let all = desktop.eyes().run(|eyes| windows(eyes.display())).await?;
    let fits = |text: &str| text.to_lowercase().contains(&wanted);
    let found = all.iter().find(|window| fits(&window.title) || fits(&window.class));
    Ok(found.map(|window| format!("window {} {:?}", window.name(), window.title)))
}

async fn element(desktop: &Desktop, role: &str, words: &str) -> Result<Option<String>> {
    let trees = desktop.elements().trees(Bounds::default()).await?;
    Ok(shows(&trees, words, role).map(|element| {
        if crate::a11y::is_actionable(&element) {
            desktop.elements().told(&element)
        } else {
            describe(&element)
        }
    }))
}
