//! How a desktop comes up. Every step waits for the word of who is started, none for time to pass.

use std::{
    collections::BTreeMap,
    fs,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::unix::pipe,
    sync::broadcast,
};
use x11rb::protocol::xproto::{AtomEnum, PropMode};
use x11rb::wrapper::ConnectionExt as _;

use super::bus::environment;
use super::desktop::{Desktop, Parts};
use super::keeper::{Keeper, Started};
use super::link::Part;
use super::place::parent;
use super::programs::{Program, find_program, last_words};
use super::resize::resize;
use super::stale::{PREFIX, remove_stale};
use super::view::{LONGEST_SIDE, View};
use crate::act::{Clipboard, Hands};
use crate::error::{Code, Problem, Result, x_failed};
use crate::see::Eyes;
use crate::x::{Access, Cookie, Display, Happened, Happenings, Owner};

/// Longest time of one step. Under load a step takes seconds; what takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a window manager that has just come up has to answer before it is asked again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// To which size each screen can be made later, unless it is larger from the start. Memory is taken for all of it.
const ROOM: (u16, u16) = (2560, 1600);

/// A wished-for desktop.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Resolution.
    pub dpi: u32,
}

/// Starts a desktop. `keeper` is the program that keeps it.
pub async fn start(id: String, wish: Wish, keeper: &Path) -> Result<Desktop> {
    let server = find_program("Xvfb")?;
    let parent = parent(|name| std::env::var_os(name));
    remove_stale(&parent);
    let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent);
    let directory =
        directory.map_err(|error| Problem::system("make a directory in", parent.display(), error))?;
    let stage = Stage { id, wish, directory: directory.path().to_owned() };
    let desktop = stage.start(&server, keeper).await?;
    // From now on the keeper removes it.
    let _ = directory.keep();
    Ok(desktop)
}

struct Stage {
    id: String,
    wish: Wish,
    directory: PathBuf,
}

impl Stage {
    async fn start(self, server: &Path, keeper: &Path) -> Result<Desktop> {
        let failed = |error| Problem::system("prepare", self.directory.display(), error);
        // Until the keeper holds it too.
        let held = fs::File::open(&self.directory).map_err(failed)?;
        flock(&held, FlockOperation::NonBlockingLockShared).map_err(|error| failed(error.into()))?;
        for part in ["run", "tmp"] {
            fs::DirBuilder::new().mode(0o700).create(self.directory.join(part)).map_err(failed)?;
        }
        let cookie = Cookie::new().map_err(failed)?;
        cookie.write(&self.directory.join("Xauthority")).map_err(failed)?;
        fs::write(self.directory.join("openbox.xml"), include_str!("openbox.xml")).map_err(failed)?;
        let (keeper, process) = Keeper::start(keeper, &self.directory)?;
        let number = self.start_server(&keeper, server).await?;
        let access = Access::new(number, cookie);
        let (display, happenings) = self.connect(&access)?;
        let env = environment(text_env(), &access, &self.directory);
        let bus = self.start_bus(&keeper, &env);
        let manager = self.start_manager(&keeper, &env, &display, &happenings);
        let (bus, manager) = tokio::join!(bus, manager);
        let notes = [bus, manager].into_iter().filter_map(missing).collect::<Result<_>>()?;
        let screen = display.size()?;
        let failed = |error| Problem::system("start", "a thread", error);
        let eyes = Owner::start("eyes", Eyes::open(&access)?).map_err(failed)?;
        let hands = Owner::start("hands", Hands::open(&access)?).map_err(failed)?;
        let clipboard = Clipboard::open(&access)?;
        let view = View::new(screen, LONGEST_SIDE);
        let (id, dpi, directory) = (self.id, self.wish.dpi, self.directory);
        Ok(Desktop::new(Parts {
            id,
            access,
            directory,
            env,
            dpi,
            view,
            keeper,
            process,
            eyes,
            hands,
            clipboard,
            happenings,
            notes,
        }))
    }

    /// The X server chooses a free number itself and tells it when it serves.
    async fn start_server(&self, keeper: &Keeper, server: &Path) -> Result<u32> {
        let Wish { width, height, dpi } = self.wish;
        let screen = format!("{}x{}x24", width.max(ROOM.0), height.max(ROOM.1));
        let dpi = dpi.to_string();
        let auth = self.directory.join("Xauthority").display().to_string();
        let server = server.display().to_string();
        let args = ["-displayfd", "3", "-screen", "0", &screen, "-dpi", &dpi, "-auth", &auth];
        // The abstract socket stays: by it servers that start see which numbers are taken.
        let more = ["-nolisten", "tcp", "-noreset", "-s", "0"];
        let argv = [server.as_str()].into_iter().chain(args).chain(more).map(str::to_owned).collect();
        let program = self.program("Xvfb", argv, text_env().collect());
        let line = self.ready(keeper, program, Part::Server).await?;
        let number = line.trim().parse();
        let number = number.map_err(|_| Problem::new(Code::NotStarted, format!("Xvfb said {line:?}")))?;
        keeper.serves(number).await?;
        Ok(number)
    }

    fn connect(&self, access: &Access) -> Result<(Display, Happenings)> {
        let display = Display::open(access)?;
        let Wish { width, height, dpi } = self.wish;
        resize(&display, width, height, dpi)?;
        // Where toolkits look for the resolution.
        let resources = format!("Xft.dpi:\t{dpi}\n");
        display
            .conn
            .change_property8(
                PropMode::REPLACE,
                display.root,
                AtomEnum::RESOURCE_MANAGER,
                AtomEnum::STRING,
                resources.as_bytes(),
            )
            .map_err(x_failed)?;
        display.sync()?;
        Ok((display, Happenings::of(access)?))
    }

    async fn start_bus(&self, keeper: &Keeper, env: &BTreeMap<String, String>) -> Result<()> {
        let bus = find_program("dbus-daemon")?.display().to_string();
        let address = env.get("DBUS_SESSION_BUS_ADDRESS").cloned().unwrap_or_default();
        let args = ["--session", "--nofork", "--nopidfile", "--print-address=3"].map(str::to_owned);
        let argv = [bus].into_iter().chain(args).chain([format!("--address={address}")]).collect();
        self.ready(keeper, self.program("dbus-daemon", argv, env.clone()), Part::Service).await.map(drop)
    }

    /// It says in a property of the root window that it is there, and is ready when it answers.
    async fn start_manager(
        &self,
        keeper: &Keeper,
        env: &BTreeMap<String, String>,
        display: &Display,
        happenings: &Happenings,
    ) -> Result<()> {
        let manager = find_program("openbox")?.display().to_string();
        let config = self.directory.join("openbox.xml").display().to_string();
        let argv = [manager.as_str(), "--sm-disable", "--config-file", &config].map(str::to_owned).to_vec();
        let program = self.program("openbox", argv, env.clone());
        let log = self.log("openbox");
        let mut happened = happenings.listen();
        let mut started = keeper.run(program, Part::Service, None).await?;
        let ready = async {
            while !is_managed(display)? {
                match happened.recv().await {
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                }
            }
            answers(happenings, &mut happened).await
        };
        tokio::select! {
            ready = ready => ready,
            exit = started.ended() => Err(ended_early("openbox", exit, &log)),
            () = tokio::time::sleep(PATIENCE) => Err(too_late("openbox", &log)),
        }
    }

    fn program(&self, name: &str, argv: Vec<String>, env: BTreeMap<String, String>) -> Program {
        Program { argv, env, directory: self.directory.clone(), log: Some(self.log(name)) }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    /// Starts a program that writes a line to its descriptor 3 when it serves.
    async fn ready(&self, keeper: &Keeper, program: Program, part: Part) -> Result<String> {
        let failed = |error| Problem::system("make", "a pipe", error);
        let name = program.argv.first().cloned().unwrap_or_default();
        let log = program.log.clone().unwrap_or_default();
        let (read, write) = pipe_for_program().map_err(failed)?;
        let mut started: Started = keeper.run(program, part, Some(write)).await?;
        let mut line = String::new();
        let mut reader = BufReader::new(read);
        let read = async {
            // Without an end of line the program has closed it, that is, ended.
            if reader.read_line(&mut line).await.is_err() || !line.ends_with('\n') {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = read => {}
            exit = started.ended() => return Err(ended_early(&name, exit, &log)),
            () = tokio::time::sleep(PATIENCE) => return Err(too_late(&name, &log)),
        }
        Ok(line)
    }
}

/// A pipe whose end for writing a program gets.
pub(super) fn pipe_for_program() -> std::io::Result<(pipe::Receiver, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(read)?, write))
}

/// Variables that are text; no others go through JSON.
fn text_env() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A desktop without a bus or a window manager is of use, if it is said.
fn missing(part: Result<()>) -> Option<Result<String>> {
    match part {
        Ok(()) => None,
        Err(problem) if problem.code == Code::NotInstalled => {
            Some(Ok(format!("{}: {}", problem.message, problem.hint)))
        }
        Err(problem) => Some(Err(problem)),
    }
}

fn is_managed(display: &Display) -> Result<bool> {
    let check = display.atoms._NET_SUPPORTING_WM_CHECK;
    let Some(window) = display.numbers(display.root, check)?.first().copied() else { return Ok(false) };
    // It names itself; a number left by a manager that has gone does not.
    Ok(display.numbers(window, check).is_ok_and(|own| own.first() == Some(&window)))
}

/// Waits until a window manager answers. What it is asked while it still prepares itself is lost, and so are windows that
/// programs show then; nothing tells the end of that, so it is asked again.
async fn answers(happenings: &Happenings, happened: &mut broadcast::Receiver<Happened>) -> Result<()> {
    let (mut asked, mut pause) = (Vec::new(), FIRST_PAUSE);
    loop {
        asked.extend(happenings.ask_manager()?);
        let answered = async {
            loop {
                match happened.recv().await {
                    Ok(Happened::Framed(window)) if asked.iter().any(|one| one.window() == window) => break,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => break,
                }
            }
        };
        if tokio::time::timeout(pause, answered).await.is_ok() {
            return Ok(());
        }
        pause *= 2;
    }
}

fn ended_early(name: &str, exit: super::Exit, log: &Path) -> Problem {
    Problem::new(Code::NotStarted, format!("{name} ended at its start with {exit}: {}", last_words(log)))
}

fn too_late(name: &str, log: &Path) -> Problem {
    let seconds = PATIENCE.as_secs();
    let words = last_words(log);
    Problem::new(Code::NotStarted, format!("{name} is not ready after {seconds} seconds: {words}"))
}
