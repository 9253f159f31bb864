//! One desktop that runs.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use super::keeper::{Keeper, Started};
use super::link::Part;
use super::programs::{Program, find_program};
use super::resize::resize;
use super::view::View;
use crate::act::Hands;
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::see::Eyes;
use crate::x::{Access, Happenings, Owner};

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
    happenings: Happenings,
    notes: Vec<String>,
    ended: CancellationToken,
}

impl fmt::Debug for Desktop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desktop").field("id", &self.id).field("access", &self.access).finish_non_exhaustive()
    }
}

impl Desktop {
    pub(super) fn new(parts: Parts) -> Self {
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
            happenings: parts.happenings,
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

    /// What happens on it.
    pub fn happenings(&self) -> &Happenings {
        &self.happenings
    }

    /// Cancelled when it has ended, or was told to.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Starts a program in it.
    ///
    /// # Errors
    /// `not_installed`, `not_started`, `desktop_ended`.
    pub async fn launch(
        &self,
        argv: Vec<String>,
        directory: PathBuf,
        more_env: &BTreeMap<String, String>,
        log: PathBuf,
    ) -> Result<Started> {
        if let Some(name) = argv.first() {
            find_program(name)?;
        }
        let mut env = self.env.clone();
        env.extend(more_env.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.keeper.run(Program { argv, env, directory, log }, Part::User, None).await
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
