//! Which paths can be expressed to nspawn and overlayfs. Both parse lists, so a path can smuggle in options; what
//! cannot be said without ambiguity is refused by name rather than passed on and misread.

use std::path::{Component, Path, PathBuf};

/// A path that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} cannot be used as {role}: {reason}", path = path.display())]
pub struct PathRefused {
    /// What the path was to be: `image`, `bind source`, …
    pub role: &'static str,
    /// The path.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: &'static str,
}

fn refuse(role: &'static str, path: &Path, reason: &'static str) -> PathRefused {
    PathRefused { role, path: path.to_owned(), reason }
}

/// Absolute, UTF-8, no `..`, no control character: the common ground of every path.
fn check_common<'a>(role: &'static str, path: &'a Path) -> Result<&'a str, PathRefused> {
    let Some(text) = path.to_str() else { return Err(refuse(role, path, "it is not UTF-8")) };
    if !path.is_absolute() {
        return Err(refuse(role, path, "it is not absolute"));
    }
    if path.components().any(|c| matches!(c, Component::ParentDir)) {
        return Err(refuse(role, path, "it contains `..`"));
    }
    if text.chars().any(char::is_control) {
        return Err(refuse(role, path, "it contains a control character"));
    }
    Ok(text)
}

/// Checks a directory that becomes a layer of the overlay: `:` separates layers, `,` options, `\` escapes.
///
/// # Errors
/// [`PathRefused`] when the path is relative, not UTF-8 or contains one of those.
pub fn check_layer<'a>(role: &'static str, path: &'a Path) -> Result<&'a str, PathRefused> {
    let text = check_common(role, path)?;
    if text.contains([':', ',', '\\']) {
        return Err(refuse(role, path, "overlayfs separates by `:`, `,` and `\\`; move the data directory"));
    }
    Ok(text)
}

/// Checks where something appears inside: never over the root, the kernel's file systems or the runner's own folder.
///
/// # Errors
/// [`PathRefused`] with the reason.
pub fn check_target(path: &Path) -> Result<(), PathRefused> {
    const ROLE: &str = "bind target";
    check_common(ROLE, path)?;
    let taken = ["/proc", "/sys", "/dev", "/run/sandboxed-sh", "/run/systemd", "/run/host"];
    if path == Path::new("/") || taken.iter().any(|t| path.starts_with(t)) {
        return Err(refuse(ROLE, path, "that place belongs to the sandbox itself"));
    }
    Ok(())
}

/// Quotes a path for nspawn's `SOURCE:TARGET:OPTIONS`, where `\:` is a colon.
///
/// # Errors
/// [`PathRefused`] when the path is relative, not UTF-8 or contains a backslash.
pub fn quote_bind(role: &'static str, path: &Path) -> Result<String, PathRefused> {
    let text = check_common(role, path)?;
    if text.contains('\\') {
        return Err(refuse(role, path, "nspawn reads a backslash as an escape"));
    }
    Ok(text.replace(':', "\\:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_with_a_separator_is_refused() {
        for bad in ["/a:b", "/a,b", "/a\\b", "a/b", "/a/../b", "/a\nb"] {
            assert!(check_layer("image", Path::new(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(check_layer("image", Path::new("/a b/ü")).unwrap(), "/a b/ü");
    }

    #[test]
    fn a_colon_in_a_bind_is_escaped_and_a_backslash_refused() {
        assert_eq!(quote_bind("bind source", Path::new("/a:b")).unwrap(), "/a\\:b");
        assert!(quote_bind("bind source", Path::new("/a\\b")).is_err());
    }

    #[test]
    fn a_target_over_the_sandbox_itself_is_refused() {
        for bad in ["/", "/proc", "/proc/sys", "/dev/kvm", "/run/sandboxed-sh/control", "/sys/fs"] {
            assert!(check_target(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(check_target(Path::new("/processes")).is_ok());
    }
}
