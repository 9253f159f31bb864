//! The capture of one desktop: a task that takes a frame when one is due, has it made a JPEG once, and shows it to all
//! who watch. It begins with the first of them and ends with the last. Who is slow sees the newest frame next; nobody
//! has a queue.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::Film;
use crate::error::{Problem, Result};
use crate::geometry::Rect;
use crate::see::{Eyes, Format, Frame, encode};
use crate::x::{Access, Happenings, Owner};

/// Most frames a second.
const FRAMES_PER_SECOND: u32 = 30;
/// Quality of the pictures.
const QUALITY: u8 = 75;
/// The whole screen, however large.
const ALL: Rect = Rect::new(0, 0, u16::MAX as u32, u16::MAX as u32);

/// One frame as a file.
pub type Jpeg = Arc<Vec<u8>>;

/// A running capture; it ends with the last handle.
#[derive(Debug)]
pub struct Camera {
    newest: watch::Receiver<Option<Jpeg>>,
    _task: AbortOnDropHandle<()>,
}

impl Camera {
    /// Begins, with a frame at once.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn start(access: &Access, happenings: &Happenings) -> Result<Self> {
        let lens =
            Lens { eyes: Eyes::open(access)?, frame: Frame { area: Rect::default(), pixels: Vec::new() } };
        let lens =
            Owner::start("camera", lens).map_err(|error| Problem::system("start", "a thread", error))?;
        let (sender, newest) = watch::channel(None);
        let film = Film::of(happenings, FRAMES_PER_SECOND);
        let task = tokio::spawn(async move {
            if let Err(problem) = run(lens, film, &sender).await {
                tracing::debug!("the capture ends: {problem}");
            }
        });
        Ok(Self { newest, _task: AbortOnDropHandle::new(task) })
    }

    /// The newest frame, and those after it. It ends when the desktop ends.
    pub fn watch(&self) -> watch::Receiver<Option<Jpeg>> {
        let mut newest = self.newest.clone();
        newest.mark_changed();
        newest
    }
}

#[derive(Debug)]
struct Lens {
    eyes: Eyes,
    frame: Frame,
}

impl Lens {
    fn shoot(&mut self) -> Result<Jpeg> {
        self.eyes.look_again(&mut self.frame, ALL)?;
        encode(&self.frame, Format::Jpeg, QUALITY).map(Arc::new)
    }
}

async fn run(lens: Owner<Lens>, mut film: Film, newest: &watch::Sender<Option<Jpeg>>) -> Result<()> {
    loop {
        let jpeg = lens.run(Lens::shoot).await?;
        newest.send_replace(Some(jpeg));
        film.next(ALL).await?;
    }
}

/// The capture of a desktop, if somebody watches.
#[derive(Debug, Default)]
pub struct Cameras(Mutex<Weak<Camera>>);

impl Cameras {
    /// The one that runs, or a new one.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn get(&self, access: &Access, happenings: &Happenings) -> Result<Arc<Camera>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(camera) = known.upgrade() {
            return Ok(camera);
        }
        let camera = Arc::new(Camera::start(access, happenings)?);
        *known = Arc::downgrade(&camera);
        Ok(camera)
    }
}
