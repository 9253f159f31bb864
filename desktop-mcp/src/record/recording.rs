//! One recording: a task that takes a frame when something was painted and writes it, until it is told to stop, its
//! bounds are reached, or the desktop ends. What was recorded until then is a whole file in all cases.

use std::{
    fmt,
    fs::OpenOptions,
    io::BufWriter,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::animation::{Animation, Container};
use super::gif::Gif;
use super::video::Video;
use super::webp::Webp;
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::see::{Eyes, Frame};
use crate::stream::Film;
use crate::x::{Access, Happenings, Owner};

/// Largest file.
pub const MOST_BYTES: u64 = 256 << 20;

/// Kinds of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Animated GIF.
    Gif,
    /// Animated WebP.
    Webp,
    /// What ffmpeg makes of the file's name.
    Video,
}

/// What is wished for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// A new file.
    pub file: PathBuf,
    /// Of which kind.
    pub kind: Kind,
    /// Which part of the screen.
    pub area: Rect,
    /// Most frames a second.
    pub frames_per_second: u32,
    /// Longest time.
    pub longest: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Frames in it.
    pub frames: u32,
    /// Its size.
    pub bytes: u64,
    /// How long was recorded.
    pub time: Duration,
    /// Why it ended.
    pub end: End,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// It was as long as it may be.
    Time,
    /// It was as large as it may be.
    Bytes,
    /// The desktop ended.
    Desktop,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Time => "its longest time was over",
            Self::Bytes => "the largest size was reached",
            Self::Desktop => "the desktop ended",
        })
    }
}

struct Running {
    file: PathBuf,
    stop: CancellationToken,
    task: AbortOnDropHandle<Result<Report>>,
}

/// The recording of one desktop: one at a time.
#[derive(Default)]
pub struct Recordings(Mutex<Option<Running>>);

impl fmt::Debug for Recordings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recordings")
    }
}

impl Recordings {
    /// Begins one.
    ///
    /// # Errors
    /// `already_exists`: one runs, or the file is there. `not_installed`: a video without ffmpeg.
    pub async fn start(&self, access: &Access, happenings: &Happenings, wish: Wish) -> Result<()> {
        let mut running = self.0.lock().await;
        if let Some(other) = running.as_ref().filter(|running| !running.task.is_finished()) {
            let message = format!("a recording to {} runs already", other.file.display());
            return Err(Problem::new(Code::AlreadyExists, message).hint("stop it first with action=stop"));
        }
        let eyes = Owner::start("recorder", Eyes::open(access)?);
        let eyes = eyes.map_err(|error| Problem::system("start", "a thread", error))?;
        // Before the first frame is taken: what is painted meanwhile counts for the second.
        let film = Film::of(happenings, wish.frames_per_second);
        let area = wish.area;
        let first = eyes.run(move |eyes| eyes.look(area)).await?;
        let (file, stop) = (wish.file.clone(), CancellationToken::new());
        let sink = Sink::open(&wish, first).await?;
        let recording = Recording { eyes, film, wish, sink, stop: stop.clone() };
        let task = AbortOnDropHandle::new(tokio::spawn(recording.run()));
        *running = Some(Running { file, stop, task });
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// `not_found`: none runs. What kept it from being written.
    pub async fn stop(&self) -> Result<Report> {
        let running = self.0.lock().await.take();
        let running = running.ok_or_else(|| {
            Problem::new(Code::NotFound, "no recording runs").hint("begin one with action=start")
        })?;
        running.stop.cancel();
        running.task.await.map_err(Problem::internal)?
    }

    /// Waits until what was recorded is a whole file. It ends with its desktop.
    pub async fn settle(&self) {
        let running = self.0.lock().await.take();
        if let Some(running) = running
            && let Ok(Err(problem)) = running.task.await
        {
            tracing::warn!("a recording failed: {problem}");
        }
    }
}

struct Recording {
    eyes: Owner<Eyes>,
    film: Film,
    wish: Wish,
    sink: Sink,
    stop: CancellationToken,
}

impl Recording {
    async fn run(mut self) -> Result<Report> {
        let start = Instant::now();
        let end = start + self.wish.longest;
        let mut shown = start;
        let why = loop {
            let stopped = self.stop.cancelled();
            let next = tokio::select! {
                next = timeout_at(end, self.film.next(self.wish.area)) => next,
                () = stopped => break End::Stopped,
            };
            match next {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break End::Desktop,
                Err(_) => break End::Time,
            }
            let area = self.wish.area;
            // A screen that became smaller than the area, or is gone.
            let Ok(frame) = self.eyes.run(move |eyes| eyes.look(area)).await else { break End::Desktop };
            let now = Instant::now();
            if self.sink.add(frame, now - shown).await? {
                shown = now;
            }
            if self.sink.bytes() >= MOST_BYTES {
                break End::Bytes;
            }
        };
        let (bytes, frames) = self.sink.finish(shown.elapsed()).await?;
        Ok(Report { file: self.wish.file, frames, bytes, time: start.elapsed(), end: why })
    }
}

/// Where frames go.
enum Sink {
    Animation(Owner<Option<Animation>>, u64),
    Video(Box<Video>),
}

impl Sink {
    async fn open(wish: &Wish, first: Frame) -> Result<Self> {
        if wish.kind == Kind::Video {
            return Video::begin(&wish.file, first, wish.frames_per_second)
                .await
                .map(Box::new)
                .map(Self::Video);
        }
        let file = BufWriter::new(create(&wish.file)?);
        let gif = wish.kind == Kind::Gif;
        let animation = Animation::begin(first, |width, height| {
            let container: Box<dyn Container> = if gif {
                Box::new(Gif::begin(file, width, height)?)
            } else {
                Box::new(Webp::begin(file, width, height)?)
            };
            Ok(container)
        })?;
        let bytes = animation.bytes();
        let owner = Owner::start("animation", Some(animation));
        Ok(Self::Animation(owner.map_err(|error| Problem::system("start", "a thread", error))?, bytes))
    }

    async fn add(&mut self, frame: Frame, time: Duration) -> Result<bool> {
        match self {
            Self::Animation(owner, bytes) => {
                let added = owner.run(move |animation| {
                    let animation = animation.as_mut().ok_or_else(over)?;
                    Ok((animation.add(frame, time)?, animation.bytes()))
                });
                let (added, now) = added.await?;
                *bytes = now;
                Ok(added)
            }
            Self::Video(video) => video.add(frame).await.map(|()| true),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Animation(_, bytes) => *bytes,
            Self::Video(video) => video.bytes(),
        }
    }

    async fn finish(self, time: Duration) -> Result<(u64, u32)> {
        match self {
            Self::Animation(owner, _) => {
                owner.run(move |animation| animation.take().ok_or_else(over)?.finish(time)).await
            }
            Self::Video(video) => video.finish().await,
        }
    }
}

fn over() -> Problem {
    Problem::internal("the recording is over")
}

/// A new file.
///
/// # Errors
/// `already_exists`, or what the system says.
pub fn create(file: &Path) -> Result<std::fs::File> {
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    made.map_err(|error| Problem::system("make", file.display(), error).field("file"))
}
