//! Logins that a user has with a CLI: where the file lies, what of it a mission is lent, and what comes back of it.
//!
//! A CLI renews its login while it works, and the provider then takes the old one back. So a mission is not handed a
//! copy for good: its workspace has one file for all missions of that CLI, under the CLI's own locks, and whoever
//! changes one of the files (a CLI in a workspace, or the user's own) has the others follow.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::{Harness, Readiness};
use crate::api::AuthKind;

/// Most bytes of a login file; those of the CLIs have a few thousand.
pub const LARGEST_LOGIN: u64 = 256 << 10;
/// Longest token.
const LONGEST_TOKEN: usize = 32 << 10;

/// The file in which a CLI keeps its user's login. Data only: whoever knows it needs no name of a CLI.
#[derive(Debug, Clone, Copy)]
pub struct LoginFile {
    /// Its directory, relative to the user's home.
    pub directory: &'static str,
    /// A variable of the host that names another directory.
    pub moved_by: Option<&'static str>,
    /// The file's name.
    pub name: &'static str,
    /// What of the file is lent, by the names in its outermost object; empty: all of it.
    pub lent: &'static [&'static str],
    /// How a mission's CLI is led to the file of its workspace.
    pub way: LoginWay,
    /// What the user runs to log in again.
    pub command: &'static str,
    /// What it says; none when it is no login.
    pub read: fn(&Value) -> Option<Login>,
}

/// How a CLI is led to a login file outside of its own directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginWay {
    /// A variable names the directory, which the CLI uses for logins and their locks alone.
    Directory(&'static str),
    /// A variable names the file.
    File(&'static str),
    /// Links lie in this directory of the mission's: the file's, and those of its locks. Only for a CLI that writes
    /// through links.
    Links(&'static str, &'static [&'static str]),
}

/// What a login file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// When what it has now ends, in Unix seconds; none when that is not told.
    pub expires_at: Option<i64>,
    /// Whether the CLI renews it without its user.
    pub renewable: bool,
    /// Whose it is; none when that is not told.
    pub account: Option<String>,
    /// Grows each time it is renewed.
    pub renewed: i64,
    /// Whose services it opens, where the CLI knows several providers.
    pub providers: Vec<String>,
}

/// Where a mission finds its login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// A variable of its process.
    pub variable: Option<(String, String)>,
    /// Links, each with what it points to.
    pub links: Vec<(String, String)>,
}

impl LoginFile {
    /// How the CLI of a mission comes to the file in `directory`.
    pub fn placed(&self, directory: &str, mission_dir: &str) -> Placed {
        let inside = |name: &str| format!("{directory}/{name}");
        let variable =
            |name: &str, value| Placed { variable: Some((name.to_owned(), value)), links: Vec::new() };
        match self.way {
            LoginWay::Directory(name) => variable(name, directory.to_owned()),
            LoginWay::File(name) => variable(name, inside(self.name)),
            LoginWay::Links(own, locks) => {
                let names = std::iter::once(&self.name).chain(locks);
                let link = |name: &&str| (format!("{mission_dir}/{own}/{name}"), inside(name));
                Placed { variable: None, links: names.map(link).collect() }
            }
        }
    }

    /// What of the user's file a workspace gets.
    pub fn lent(&self, whole: &Value) -> Value {
        match whole {
            Value::Object(map) if !self.lent.is_empty() => {
                let parts = self.lent.iter().filter_map(|name| map.get_key_value(*name));
                Value::Object(parts.map(|(name, part)| (name.clone(), part.clone())).collect())
            }
            other => other.clone(),
        }
    }

    /// The user's file after a CLI in a workspace renewed what it was lent: nothing is removed, and nothing that was
    /// not lent is touched.
    pub fn returned(&self, whole: &Value, theirs: &Value) -> Value {
        let mut whole = whole.clone();
        merge(&mut whole, &self.lent(theirs), 0);
        whole
    }
}

fn merge(into: &mut Value, from: &Value, depth: usize) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) if depth < 8 => {
            for (name, part) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), part, depth + 1);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The same text for the same values, whatever the order in which they were written.
pub fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut names: Vec<_> = map.keys().collect();
                names.sort();
                let parts = names.into_iter().filter_map(|name| map.get_key_value(name));
                Value::Object(parts.map(|(name, part)| (name.clone(), sorted(part))).collect::<Map<_, _>>())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

/// A token at `pointer`: printable and not endless.
pub(super) fn token(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str()?;
    let fits = !text.is_empty() && text.len() <= LONGEST_TOKEN && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// A login in one of its files, by a digest of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Digest of the part that is lent.
    pub digest: String,
    /// What it says.
    pub login: Login,
}

/// What becomes of the file of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginStep {
    /// It is as it should be, or being written.
    Leave,
    /// It gets what the user's file has.
    Renew,
    /// A CLI renewed it: the user's file gets what it has.
    TakeBack,
    /// The user is logged out: it goes.
    Remove,
}

/// The rule. `user` is the user's file, `lent` the digest of what the workspace was given last, `theirs` its file now
/// (none: gone, or no login). Only the very login that was lent is renewed from a workspace, by a newer one of the same
/// account: what the user did meanwhile counts more. A file that says nothing may be half written, so it is left alone
/// unless a mission is about to `start` with it.
pub fn login_step(user: Option<&Held>, lent: Option<&str>, theirs: Option<&Held>, start: bool) -> LoginStep {
    let Some(user) = user else { return LoginStep::Remove };
    let unchanged = lent == Some(user.digest.as_str());
    match theirs {
        Some(theirs) if theirs.digest == user.digest => LoginStep::Leave,
        Some(theirs) if unchanged && replaces(&theirs.login, &user.login) => LoginStep::TakeBack,
        None if unchanged && !start => LoginStep::Leave,
        _ => LoginStep::Renew,
    }
}

fn replaces(theirs: &Login, user: &Login) -> bool {
    let same = match (&theirs.account, &user.account) {
        (Some(theirs), Some(user)) => theirs == user,
        (None, Some(_)) => false,
        (_, None) => true,
    };
    same && theirs.renewed >= user.renewed && theirs.renewable >= user.renewable
}

/// The user's login of a CLI, as the host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginFound {
    /// The CLI has none that we know of, or nobody told where the user's home is.
    None,
    /// There is a file, and it is no login.
    Unusable {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// There is one, and missions are not lent it.
    Kept {
        /// The file.
        path: String,
    },
    /// There is one that missions are lent.
    Shared {
        /// The file.
        path: String,
        /// What it says.
        login: Login,
    },
}

/// Whether a worker could start with the login alone, `now` in Unix seconds; `otherwise` is what is said without one.
pub fn login_readiness(
    harness: &dyn Harness,
    found: &LoginFound,
    otherwise: Readiness,
    now: i64,
) -> Readiness {
    let command = harness.login().map_or("", |file| file.command);
    let not_ready = |reason| Readiness { auth: AuthKind::None, ready: false, reason };
    match found {
        LoginFound::None => otherwise,
        LoginFound::Unusable { path, why } => {
            not_ready(format!("{}; {path} is no login that can be used ({why})", otherwise.reason))
        }
        LoginFound::Kept { path } => not_ready(format!(
            "{}; or add {} to SANDBOXED_SH_SHARE_LOGINS to lend workers the login in {path}, which they can read",
            otherwise.reason,
            harness.id()
        )),
        LoginFound::Shared { path, login } => {
            let (ready, state) = state(login, command, now);
            Readiness { auth: AuthKind::CliLogin, ready, reason: format!("uses the login in {path}{state}") }
        }
    }
}

fn state(login: &Login, command: &str, now: i64) -> (bool, String) {
    let Some(at) = login.expires_at else { return (true, String::new()) };
    let time = DateTime::from_timestamp(at, 0)
        .map_or_else(|| at.to_string(), |at| at.format("%F %T UTC").to_string());
    match (at <= now, login.renewable) {
        (false, true) => (true, format!(", good until {time} and renewed by the agent")),
        (false, false) => (true, format!(", good until {time}; nothing renews it: then run `{command}`")),
        (true, true) => (true, format!(", which ended {time} and is renewed at its next use")),
        (true, false) => (false, format!(", which ended {time}: run `{command}` on this machine")),
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
