//! One desktop that runs.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use super::keeper::Keeper;
use super::link::Part;
use super::programs::{Program, Running};
use super::resize::resize;
use super::start::pipe_for_program;
use super::view::View;
use crate::a11y::Elements;
use crate::act::{Clipboard, Hands};
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::record::Recordings;
use crate::see::Eyes;
use crate::stream::{Camera, Cameras};
use crate::x::{Access, Happenings, Owner};

/// How many programs are remembered.
const MOST_PROGRAMS: usize = 64;

/// What a desktop is made of, when all of it runs.
pub(super) struct Parts {
    pub id: String,
    pub access: Access,
    pub directory: PathBuf,
    pub env: BTreeMap<String, String>,
    pub dpi: u32,
    pub view: View,
    pub keeper: Keeper,
    pub process: Child,
    pub eyes: Owner<Eyes>,
    pub hands: Owner<Hands>,
    pub clipboard: Clipboard,
    pub happenings: Happenings,
    pub notes: Vec<String>,
}

/// One desktop. With the last handle to it everything in it is ended.
pub struct Desktop {
    id: String,
    access: Access,
    directory: PathBuf,
    env: BTreeMap<String, String>,
    dpi: u32,
    view: Mutex<View>,
    keeper: Keeper,
    process: tokio::sync::Mutex<Child>,
    eyes: Owner<Eyes>,
    hands: Owner<Hands>,
    clipboard: Clipboard,
    happenings: Happenings,
    elements: Elements,
    cameras: Cameras,
    recordings: Recordings,
    notes: Vec<String>,
    acting: tokio::sync::Mutex<()>,
    programs: Mutex<Vec<Running>>,
    ended: CancellationToken,
}

impl fmt::Debug for Desktop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desktop").field("id", &self.id).field("access", &self.access).finish_non_exhaustive()
    }
}

impl Desktop {
    pub(super) fn new(parts: Parts) -> Self {
        let bus = parts.env.get("DBUS_SESSION_BUS_ADDRESS").cloned();
        let elements = Elements::on(bus.unwrap_or_default());
        Self {
            id: parts.id,
            access: parts.access,
            directory: parts.directory,
            env: parts.env,
            dpi: parts.dpi,
            view: Mutex::new(parts.view),
            ended: parts.keeper.gone().child_token(),
            keeper: parts.keeper,
            process: tokio::sync::Mutex::new(parts.process),
            eyes: parts.eyes,
            hands: parts.hands,
            clipboard: parts.clipboard,
            acting: tokio::sync::Mutex::default(),
            programs: Mutex::default(),
            happenings: parts.happenings,
            elements,
            cameras: Cameras::default(),
            recordings: Recordings::default(),
            notes: parts.notes,
        }
    }

    /// By which tools name it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The way to its X server, for connections of one's own.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Environment of programs in it; has the address of its session bus.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// A directory that is removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Resolution that it tells programs.
    pub fn dpi(&self) -> u32 {
        self.dpi
    }

    /// What is missing in it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How places are named.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the screen.
    pub fn eyes(&self) -> &Owner<Eyes> {
        &self.eyes
    }

    /// Acts on it.
    pub fn hands(&self) -> &Owner<Hands> {
        &self.hands
    }

    /// Its clipboard.
    pub fn clipboard(&self) -> &Clipboard {
        &self.clipboard
    }

    /// Held by whoever acts on it for longer than a moment: one at a time.
    pub fn acting(&self) -> &tokio::sync::Mutex<()> {
        &self.acting
    }

    /// What happens on it.
    pub fn happenings(&self) -> &Happenings {
        &self.happenings
    }

    /// What its programs tell of themselves.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Its capture, which runs while somebody holds it.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn camera(&self) -> Result<Arc<Camera>> {
        self.cameras.get(&self.access, &self.happenings)
    }

    /// Its recording.
    pub fn recordings(&self) -> &Recordings {
        &self.recordings
    }

    /// Cancelled when it has ended, or was told to.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Starts a shell command in it.
    ///
    /// # Errors
    /// `not_started`, `desktop_ended`, `too_large`.
    pub async fn launch(
        &self,
        command: &str,
        directory: PathBuf,
        more_env: &BTreeMap<String, String>,
    ) -> Result<Running> {
        let failed = |error| Problem::system("make", "a pipe", error);
        let (output, theirs) = pipe_for_program().map_err(failed)?;
        let mut env = self.env.clone();
        env.extend(more_env.iter().map(|(name, value)| (name.clone(), value.clone())));
        let argv = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
        let program = Program { argv, env, directory, log: None };
        let started = self.keeper.run(program, Part::User, Some(theirs)).await?;
        let running = Running::new(command.to_owned(), started, output);
        self.remember(running.clone());
        Ok(running)
    }

    fn remember(&self, running: Running) {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if programs.len() >= MOST_PROGRAMS {
            let ended = programs.iter().position(|program| program.exit().is_some());
            programs.remove(ended.unwrap_or(0));
        }
        programs.push(running);
    }

    /// The programs that were started in it last.
    pub fn programs(&self) -> Vec<Running> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the screen another size.
    ///
    /// # Errors
    /// `invalid_argument`: larger than it was made for.
    pub async fn resize(&self, width: u16, height: u16) -> Result<Rect> {
        let dpi = self.dpi;
        let screen = self
            .hands
            .run(move |hands| {
                resize(hands.display(), width, height, dpi)?;
                hands.display().size()
            })
            .await?;
        self.view().resize(screen);
        Ok(screen)
    }

    /// Ends everything in it.
    pub fn end(&self) {
        self.ended.cancel();
        self.keeper.end();
    }

    /// Ends everything in it and waits for that.
    ///
    /// # Errors
    /// The keeper was not able to remove the desktop's directory.
    pub async fn stop(&self) -> Result<()> {
        self.end();
        self.recordings.settle().await;
        let left = self.process.lock().await.wait().await;
        match left {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                Err(Problem::new(Code::IoError, format!("the desktop's keeper ended with {status}")))
            }
            Err(error) => Err(Problem::system("wait for", "the desktop's keeper", error)),
        }
    }
}
