//! Programs that a desktop is made of, and those that run in it.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::error::{Code, Problem, Result};

/// A program to be started.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path or name, and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub directory: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
}

/// Programs that a desktop needs, and the Debian packages that have them.
const PACKAGES: [(&str, &str); 3] = [("Xvfb", "xvfb"), ("openbox", "openbox"), ("dbus-daemon", "dbus")];

/// A program in `PATH`.
///
/// # Errors
/// `not_installed`, with the package that has it where that is known.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(name, &path).ok_or_else(|| {
        let known = PACKAGES.iter().find(|(program, _)| *program == name);
        let problem = Problem::new(Code::NotInstalled, format!("{name} is not installed"));
        match known {
            Some((_, package)) => problem.hint(format!("install it: apt-get install {package}")),
            None => problem,
        }
    })
}

fn find_in(name: &str, path: &OsStr) -> Option<PathBuf> {
    let executable = |file: &Path| {
        file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| executable(file));
    }
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|file| executable(file))
}

/// The end of a program's output, for an error.
pub fn last_words(log: &Path) -> String {
    const SHOWN: usize = 600;
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).trim().to_owned();
    let from = text.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
    text[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_the_path_and_a_missing_one_named_with_its_package() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tool");
        std::fs::write(&file, "").unwrap();
        assert_eq!(find_in("tool", directory.path().as_os_str()), None, "nobody may execute it");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_in("tool", directory.path().as_os_str()), Some(file.clone()));
        assert_eq!(find_in(file.to_str().unwrap(), OsStr::new("")), Some(file));
        assert_eq!(find_program("no-such-program").unwrap_err().code, Code::NotInstalled);
    }
}
