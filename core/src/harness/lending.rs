//! One login file carried between the user's home and the workspaces that are lent it. The rule is
//! [`login_step`]; everything here blocks.

use std::io;
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::{Harness, Held, LoginFile, LoginStep, Placed, login_step};

use super::logins::{LoginContent, LoginSettings, login_digest, read_login, read_login_in};
use super::private_files::{Missing, PrivateDir};

/// Directory of the lent files among the missions' own; a mission's has a name of another kind.
const LENT: &str = ".logins";

/// What a workspace is lent, and why it is looked at.
#[derive(Debug, Clone)]
pub struct Borrower {
    /// The directory of its missions, which they can write to.
    pub missions: PathBuf,
    /// A directory of the workspace that they do not see: what was lent is noted here.
    pub notes: PathBuf,
    /// What is about to happen there.
    pub moment: Moment,
}

/// When a borrower is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A mission starts with the login: it has to be there.
    Start,
    /// Missions are at work.
    Work,
    /// Nobody needs it any more: what was renewed comes back, and the file goes.
    End,
}

impl Borrower {
    /// Directory with the file, the same path on both sides.
    pub fn directory(&self, harness: &dyn Harness) -> PathBuf {
        self.missions.join(LENT).join(harness.id())
    }

    /// Opens that directory.
    ///
    /// # Errors
    /// The file system's; a link in the way.
    pub fn open(&self, harness: &dyn Harness, missing: Missing) -> io::Result<PrivateDir> {
        PrivateDir::open(&self.missions, &[LENT, harness.id()], missing)
    }

    /// Whether something was lent and not taken back.
    pub fn owes(&self, harness: &dyn Harness) -> bool {
        self.notes.join(note(harness)).exists()
    }

    fn noted(&self, harness: &dyn Harness) -> Option<String> {
        let notes = PrivateDir::open(&self.notes, &[], Missing::Refuse).ok()?;
        let (bytes, _) = notes.read(&note(harness), 1000).ok()??;
        String::from_utf8(bytes).ok()
    }

    fn note(&self, harness: &dyn Harness, digest: Option<&str>) -> io::Result<()> {
        let notes = PrivateDir::open(&self.notes, &[], Missing::Refuse)?;
        match digest {
            Some(digest) => notes.replace(&note(harness), digest.as_bytes(), None),
            None => notes.remove(&note(harness)),
        }
    }
}

fn note(harness: &dyn Harness) -> String {
    format!("lent-{}", harness.id())
}

/// Carries a login to where it is newer: first home, then to all that are lent it.
///
/// # Errors
/// `backend_not_ready` where a mission is to start and there is no login to start with. What fails elsewhere is logged:
/// the next change tries again.
pub fn carry(
    settings: &LoginSettings,
    harness: &'static dyn Harness,
    borrowers: &[Borrower],
) -> Result<(), ApiError> {
    let Some((home, name, file)) = settings.place(harness) else { return Ok(()) };
    let mut user = match read_login(file, &home, &name) {
        Ok(user) => user,
        // Its owner is writing it, or broke it.
        Err(error) => return starts(borrowers, harness, &error.to_string()),
    };
    for borrower in borrowers {
        let Some((mine, theirs)) = user.as_ref().zip(theirs(borrower, harness, file)) else { continue };
        let theirs = completed(file, mine, theirs);
        let lent = borrower.noted(harness);
        if login_step(Some(&mine.held), lent.as_deref(), Some(&theirs.held), false) != LoginStep::TakeBack {
            continue;
        }
        match take_back(file, (&home, &name), mine, &theirs) {
            Ok(renewed) => {
                tracing::info!(backend = harness.id(), "a login was renewed in a workspace and is kept");
                user = Some(renewed);
                // Should the next line fail, what is there is what the user has.
                told(borrower.note(harness, Some(&theirs.held.digest)), harness);
            }
            Err(error) => told(Err(error), harness),
        }
    }
    for borrower in borrowers {
        let done = settle(borrower, harness, file, user.as_ref());
        match (done, borrower.moment) {
            (Err(error), Moment::Start) => return Err(not_lent(harness, &error.to_string())),
            (done, _) => told(done, harness),
        }
    }
    match user {
        Some(_) => Ok(()),
        None => starts(borrowers, harness, "its user is logged out"),
    }
}

fn theirs(borrower: &Borrower, harness: &dyn Harness, file: &LoginFile) -> Option<LoginContent> {
    let directory = borrower.open(harness, Missing::Refuse).ok()?;
    read_login_in(file, &directory, file.name).ok()?
}

/// What it would be at home: a CLI may write only what is new.
fn completed(file: &LoginFile, user: &LoginContent, mut theirs: LoginContent) -> LoginContent {
    if let Some(login) = (file.read)(&file.returned(&user.whole, &theirs.whole)) {
        theirs.held.login = login;
    }
    theirs
}

fn take_back(
    file: &LoginFile,
    (home, name): (&Path, &str),
    user: &LoginContent,
    theirs: &LoginContent,
) -> io::Result<LoginContent> {
    let whole = file.returned(&user.whole, &theirs.whole);
    let login = (file.read)(&whole).ok_or(io::ErrorKind::InvalidData)?;
    let bytes = serde_json::to_vec_pretty(&whole)?;
    PrivateDir::open(home, &[], Missing::Refuse)?.replace(name, &bytes, Some(user.owner))?;
    let held = Held { digest: login_digest(&file.lent(&whole)), login };
    Ok(LoginContent { whole, held, owner: user.owner })
}

/// Gives one borrower what it should have.
fn settle(
    borrower: &Borrower,
    harness: &dyn Harness,
    file: &LoginFile,
    user: Option<&LoginContent>,
) -> io::Result<()> {
    let start = borrower.moment == Moment::Start;
    let directory = match borrower.open(harness, if start { Missing::Make } else { Missing::Refuse }) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return borrower.note(harness, None),
        Err(error) => return Err(error),
    };
    let user = user.filter(|_| borrower.moment != Moment::End);
    let theirs = read_login_in(file, &directory, file.name).ok().flatten();
    let theirs = user.zip(theirs).map(|(user, theirs)| completed(file, user, theirs));
    let lent = borrower.noted(harness);
    let step =
        login_step(user.map(|user| &user.held), lent.as_deref(), theirs.as_ref().map(|t| &t.held), start);
    match (step, user) {
        (LoginStep::Leave, Some(user)) if theirs.is_some() && lent.as_deref() != Some(&user.held.digest) => {
            borrower.note(harness, Some(&user.held.digest))
        }
        (LoginStep::Renew, Some(user)) => {
            let bytes = serde_json::to_vec_pretty(&file.lent(&user.whole))?;
            // The note comes first: a file that was not noted would count as planted.
            borrower.note(harness, Some(&user.held.digest))?;
            directory.replace(file.name, &bytes, None)
        }
        (LoginStep::Remove, _) => {
            directory.remove(file.name)?;
            borrower.note(harness, None)
        }
        // What could not be taken home waits for the next round.
        (LoginStep::Leave | LoginStep::TakeBack, _) | (LoginStep::Renew, None) => Ok(()),
    }
}

fn starts(borrowers: &[Borrower], harness: &dyn Harness, why: &str) -> Result<(), ApiError> {
    match borrowers.iter().any(|borrower| borrower.moment == Moment::Start) {
        true => Err(not_lent(harness, why)),
        false => Ok(()),
    }
}

fn not_lent(harness: &dyn Harness, why: &str) -> ApiError {
    let command = harness.login().map_or("", |file| file.command);
    ApiError::new(ErrorCode::BackendNotReady, format!("the login of {} cannot be lent: {why}", harness.id()))
        .field("backend")
        .hint(format!("run `{command}` on this machine, then resume"))
}

fn told(done: io::Result<()>, harness: &dyn Harness) {
    if let Err(error) = done {
        tracing::warn!(backend = harness.id(), %error, "a login could not be carried over; it is tried again");
    }
}

/// Leads the CLI of a mission to the file, or takes away the links by which an earlier run was led there.
///
/// # Errors
/// The file system's; a link in the way.
pub fn lead(placed: &Placed, mission_dir: &Path, lent: bool) -> io::Result<()> {
    placed.links.iter().try_for_each(|(path, target)| lead_by(path, target, mission_dir, lent))
}

fn lead_by(path: &str, target: &str, mission_dir: &Path, lent: bool) -> io::Result<()> {
    let below = Path::new(path).strip_prefix(mission_dir).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut parts: Vec<_> = below.iter().filter_map(|part| part.to_str()).collect();
    let name = parts.pop().ok_or(io::ErrorKind::InvalidInput)?;
    if lent {
        return PrivateDir::open(mission_dir, &parts, Missing::Make)?.link(name, target);
    }
    match PrivateDir::open(mission_dir, &parts, Missing::Refuse) {
        Ok(directory) => directory.unlink(name, target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "lending_tests.rs"]
mod tests;
