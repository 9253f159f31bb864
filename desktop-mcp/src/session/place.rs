//! Where the directories of desktops are made. Sockets lie in them, and a socket's path has room for 108 bytes: a
//! mission's own directory for temporary files is often too deep.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Longest path of a directory that has room for sockets: what programs append, such as
/// `/desktop-mcp-AbCdEf/tmp/org.chromium.Chromium.AbCdEf/SingletonSocket`, has up to 68 of the 107 bytes that the kernel
/// takes.
const LONGEST: usize = 39;
/// What is always short, and there.
const LAST: &str = "/tmp";

/// The directory for directories of desktops: `XDG_RUNTIME_DIR`, else `TMPDIR`, unless they are too deep or not there.
pub fn parent(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let named = ["XDG_RUNTIME_DIR", "TMPDIR"].into_iter().filter_map(variable).map(PathBuf::from);
    named.into_iter().find(|path| has_room(path) && path.is_dir()).unwrap_or_else(|| LAST.into())
}

/// Whether sockets of programs fit into a desktop's directory there.
fn has_room(directory: &Path) -> bool {
    directory.as_os_str().len() <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_there_and_has_room_is_taken() {
        let dir = tempfile::Builder::new().prefix("p").tempdir_in("/tmp").unwrap();
        let deep = dir.path().join("d".repeat(60));
        std::fs::create_dir(&deep).unwrap();
        let short = dir.path().to_owned();
        let missing = short.join("missing");
        let tmp = PathBuf::from("/tmp");
        for (runtime, temporary, taken) in [
            (Some(&short), Some(&tmp), &short),
            (None, Some(&short), &short),
            (Some(&missing), Some(&short), &short),
            (Some(&deep), Some(&short), &short),
            (None, Some(&deep), &tmp),
            (None, None, &tmp),
        ] {
            let found = parent(|name| match name {
                "XDG_RUNTIME_DIR" => runtime.map(|path| path.clone().into_os_string()),
                _ => temporary.map(|path| path.clone().into_os_string()),
            });
            assert_eq!(&found, taken, "{runtime:?} {temporary:?}");
        }
    }
}
