//! A path below the root. `..` is resolved in the text, so what is left can only lead out through a symbolic link, and
//! that the kernel refuses.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Code, Problem, Result};

/// Longest path taken.
const MAX_PATH: usize = 4096;

/// Relative, without `.` and `..`; empty for the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelPath(PathBuf);

impl RelPath {
    /// From a client's words. An absolute path must begin with one of the names of the root.
    ///
    /// # Errors
    /// `path_outside_workspace`, or `invalid_argument` for what is no path; both name `field`.
    pub fn parse(field: &str, text: &str, roots: &[&Path]) -> Result<Self> {
        if text.contains('\0') || text.len() > MAX_PATH {
            let message = format!("{field} is no path: a zero byte, or more than {MAX_PATH} bytes");
            return Err(Problem::invalid(field, message));
        }
        let outside = || {
            let message = format!("{text} is not below {}", roots[0].display());
            Problem::new(Code::PathOutsideWorkspace, message).field(field)
        };
        let path = Path::new(text);
        let below = if path.is_absolute() {
            // Resolved first: `/root/../etc` begins with `/root`.
            let resolved = resolve(path).ok_or_else(outside)?;
            let found = roots.iter().find_map(|root| {
                let root = root.strip_prefix("/").unwrap_or(root);
                resolved.strip_prefix(root).ok().map(Path::to_owned)
            });
            found.ok_or_else(outside)?
        } else {
            resolve(path).ok_or_else(outside)?
        };
        Ok(Self(below))
    }

    /// A path of this program's own.
    pub fn own(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// For the kernel: `.` for the root.
    pub fn as_path(&self) -> &Path {
        if self.is_root() { Path::new(".") } else { &self.0 }
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// An entry of it.
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        Self(self.0.join(name))
    }

    /// Whether it is `other` or below it.
    pub fn is_within(&self, other: &str) -> bool {
        self.0.starts_with(other)
    }

    /// The directory that holds it; none for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(self.0.parent().map(Path::to_owned).unwrap_or_default()))
    }

    /// Its own name; none for the root.
    pub fn name(&self) -> Option<&std::ffi::OsStr> {
        self.0.file_name()
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().display().fmt(f)
    }
}

/// Takes `.` and `..` out; none when it would lead above its beginning.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::Normal(name) => resolved.push(name),
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<String> {
        let roots = [Path::new("/w/s"), Path::new("/alias")];
        RelPath::parse("path", text, &roots).map(|path| path.0.display().to_string())
    }

    #[test]
    fn paths_are_relative_to_the_root_however_they_are_written() {
        for (text, want) in [
            ("", ""),
            (".", ""),
            ("a/b", "a/b"),
            ("./a//b/.", "a/b"),
            ("a/../b", "b"),
            ("a/..", ""),
            ("/w/s", ""),
            ("/w/s/a", "a"),
            ("/w/x/../s/a", "a"),
            ("/alias/a", "a"),
            ("ö ü\n", "ö ü\n"),
        ] {
            assert_eq!(parse(text).unwrap(), want, "{text:?}");
        }
    }

    #[test]
    fn what_leads_out_is_refused_with_the_field() {
        for text in ["..", "a/../..", "../s/a", "/", "/w", "/w/s2/a", "/etc/passwd", "/w/s/../x", "/.."] {
            let problem = parse(text).unwrap_err();
            assert_eq!(
                (problem.code, problem.field.as_deref()),
                (Code::PathOutsideWorkspace, Some("path")),
                "{text}"
            );
        }
        for text in ["a\0b".to_owned(), "x".repeat(5000)] {
            assert_eq!(parse(&text).unwrap_err().code, Code::InvalidArgument);
        }
    }

    proptest! {
        #[test]
        fn no_words_make_a_path_that_climbs(text in "(/w/s/|/)?((\\.\\.|\\.|[a-c]|/)/?){0,8}") {
            if let Ok(path) = parse(&text) {
                prop_assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."));
            }
        }
    }
}
