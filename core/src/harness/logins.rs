//! The logins of this host's user: where they are, and which of them missions are lent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sandboxed_domain::api::ApiError;
use sandboxed_domain::harness::{
    Harness, Held, LARGEST_LOGIN, LoginFile, LoginFound, canonical, find, registry,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::private_files::{Missing, Owner, PrivateDir};

const SHARE: &str = "SANDBOXED_SH_SHARE_LOGINS";
const HOME: &str = "SANDBOXED_SH_LOGIN_HOME";

/// Which logins are lent, and where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginSettings {
    shared: BTreeSet<&'static str>,
    home: Option<PathBuf>,
    /// Directories that a CLI's own variable names, by backend.
    moved: Vec<(&'static str, PathBuf)>,
}

/// A file with a login, read.
#[derive(Debug, Clone)]
pub struct LoginContent {
    /// All of it.
    pub whole: Value,
    /// What it says.
    pub held: Held,
    /// Whose file it is.
    pub owner: Owner,
}

impl LoginSettings {
    /// Names of the settings.
    pub const NAMES: [&'static str; 2] = [SHARE, HOME];

    /// Reads the process's environment.
    ///
    /// # Errors
    /// `invalid_argument`: a variable that cannot be used, by its name.
    pub fn from_env() -> Result<Self, ApiError> {
        Self::parse(|name| std::env::var(name).ok())
    }

    /// Reads any source of variables. An empty value counts as absent.
    ///
    /// # Errors
    /// As [`LoginSettings::from_env`].
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let all = || registry().iter().filter(|harness| harness.login().is_some());
        let shared = match get(SHARE).as_deref().map(str::trim) {
            None | Some("false" | "none") => BTreeSet::new(),
            Some("true" | "all") => all().map(|harness| harness.id()).collect(),
            Some(list) => list.split(',').map(str::trim).map(shareable).collect::<Result<_, _>>()?,
        };
        let named = get(HOME).map(PathBuf::from);
        if let Some(home) = named.as_ref().filter(|home| !home.is_absolute()) {
            return Err(ApiError::invalid(HOME, format!("{} is not an absolute path", home.display())));
        }
        // Who names a home means that one, whatever the daemon's own environment has.
        let moved = all().filter(|_| named.is_none()).filter_map(|harness| {
            let variable = harness.login()?.moved_by?;
            Some((harness.id(), PathBuf::from(get(variable)?)))
        });
        let moved = moved.collect();
        Ok(Self { shared, home: named.or_else(|| get("HOME").map(PathBuf::from)), moved })
    }

    /// Where the login of a harness is, whether or not there is one; links on the way are the user's own.
    fn directory(&self, harness: &dyn Harness) -> Option<(PathBuf, &'static LoginFile)> {
        let file = harness.login()?;
        let moved = self.moved.iter().find(|(id, _)| *id == harness.id()).map(|(_, path)| path.clone());
        Some((moved.or_else(|| Some(self.home.as_ref()?.join(file.directory)))?, file))
    }

    /// Directory and name of the file itself: a user may keep it elsewhere and have a link in its place.
    pub fn place(&self, harness: &dyn Harness) -> Option<(PathBuf, String, &'static LoginFile)> {
        let (directory, file) = self.directory(harness)?;
        let path = directory.join(file.name);
        let path = path.canonicalize().unwrap_or(path);
        Some((path.parent()?.to_owned(), path.file_name()?.to_str()?.to_owned(), file))
    }

    /// What there is. Blocks.
    pub fn found(&self, harness: &dyn Harness) -> LoginFound {
        let Some((directory, name, file)) = self.place(harness) else { return LoginFound::None };
        let path = directory.join(&name).display().to_string();
        match read_login(file, &directory, &name) {
            Ok(None) => LoginFound::None,
            Err(why) => LoginFound::Unusable { path, why: why.to_string() },
            Ok(Some(_)) if !self.shared.contains(harness.id()) => LoginFound::Kept { path },
            Ok(Some(content)) => LoginFound::Shared { path, login: content.held.login },
        }
    }
}

fn shareable(id: &str) -> Result<&'static str, ApiError> {
    let harness = find(id).map_err(|error| ApiError { field: Some(SHARE.to_owned()), ..error })?;
    match harness.login() {
        Some(_) => Ok(harness.id()),
        None => Err(ApiError::invalid(SHARE, format!("backend {id} has no login that could be shared"))),
    }
}

/// The login in a directory of the host; none when there is no such file.
///
/// # Errors
/// There is something else.
pub fn read_login(file: &LoginFile, directory: &Path, name: &str) -> std::io::Result<Option<LoginContent>> {
    match PrivateDir::open(directory, &[], Missing::Refuse) {
        Ok(directory) => read_login_in(file, &directory, name),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same in a directory that is open.
///
/// # Errors
/// There is something else.
pub fn read_login_in(
    file: &LoginFile,
    directory: &PrivateDir,
    name: &str,
) -> std::io::Result<Option<LoginContent>> {
    let Some((bytes, owner)) = directory.read(name, LARGEST_LOGIN)? else { return Ok(None) };
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
    let whole: Value = serde_json::from_slice(&bytes).map_err(|_| invalid("not JSON"))?;
    let login = (file.read)(&whole).ok_or_else(|| invalid("not the shape of a login"))?;
    let held = Held { digest: login_digest(&file.lent(&whole)), login };
    Ok(Some(LoginContent { whole, held, owner }))
}

/// A name of a login that tells nothing of it.
pub fn login_digest(lent: &Value) -> String {
    Sha256::digest(canonical(lent)).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(set: &[(&str, &str)]) -> Result<LoginSettings, ApiError> {
        LoginSettings::parse(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn with_logins() -> impl Iterator<Item = &'static dyn Harness> {
        registry().iter().copied().filter(|harness| harness.login().is_some())
    }

    #[test]
    fn nothing_is_shared_unless_it_is_named() {
        let ids: Vec<_> = with_logins().map(|harness| harness.id()).collect();
        for (value, shared) in [("", 0), ("none", 0), ("false", 0), ("all", ids.len()), (ids[0], 1)] {
            assert_eq!(parse(&[(SHARE, value)]).unwrap().shared.len(), shared, "{value}");
        }
        let two = format!("{}, {}", ids[0], ids[1]);
        assert_eq!(parse(&[(SHARE, &two)]).unwrap().shared.len(), 2);
        for wrong in ["nobody", "command", "all,nobody"] {
            assert_eq!(parse(&[(SHARE, wrong)]).unwrap_err().field.as_deref(), Some(SHARE), "{wrong}");
        }
        assert_eq!(parse(&[(HOME, "home/me")]).unwrap_err().field.as_deref(), Some(HOME));
    }

    #[test]
    fn a_login_is_looked_for_where_its_cli_has_it() {
        for harness in with_logins() {
            let file = harness.login().unwrap();
            let place = |set: &[(&str, &str)]| parse(set).unwrap().directory(harness).map(|(path, _)| path);
            let at_home = |home: &str| Some(Path::new(home).join(file.directory));
            assert_eq!(place(&[("HOME", "/root")]), at_home("/root"));
            assert_eq!(place(&[("HOME", "/root"), (HOME, "/home/me")]), at_home("/home/me"));
            assert_eq!(place(&[]), None);
            let Some(variable) = file.moved_by else { continue };
            let moved = Some(PathBuf::from("/elsewhere"));
            assert_eq!(place(&[("HOME", "/root"), (variable, "/elsewhere")]), moved);
            assert_eq!(place(&[(HOME, "/home/me"), (variable, "/elsewhere")]), at_home("/home/me"));
        }
    }

    #[test]
    fn what_is_no_login_is_told_and_none_is_none() {
        let home = tempfile::tempdir().unwrap();
        let set = [(HOME, home.path().to_str().unwrap()), (SHARE, "all")];
        for harness in with_logins() {
            let file = harness.login().unwrap();
            let settings = parse(&set).unwrap();
            assert_eq!(settings.found(harness), LoginFound::None);
            let directory = home.path().join(file.directory);
            std::fs::create_dir_all(&directory).unwrap();
            for junk in ["", "{}", "{\"a\":"] {
                std::fs::write(directory.join(file.name), junk).unwrap();
                assert!(matches!(settings.found(harness), LoginFound::Unusable { .. }), "{junk}");
            }
        }
    }
}
