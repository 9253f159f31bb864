//! Which `sandboxed-sh` a client would start.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode};

/// File name of the daemon's program.
const NAME: &str = "sandboxed-sh";

/// The directory beside `sandboxed-sh` with the programs that also run inside sandboxes.
const INSIDE: &str = "inside";

/// `SANDBOXED_SH_PROGRAM`, else `sandboxed-sh` beside this executable (or beside the `inside` directory it lies in),
/// else in `PATH`.
///
/// # Errors
/// `NotFound` saying where it was looked for.
pub fn find_program() -> Result<PathBuf, ApiError> {
    let chosen = std::env::var_os("SANDBOXED_SH_PROGRAM").filter(|v| !v.is_empty()).map(PathBuf::from);
    let beside = std::env::current_exe().ok().as_deref().and_then(neighbour);
    find(chosen, beside, std::env::var_os("PATH").as_deref())
}

fn neighbour(exe: &Path) -> Option<PathBuf> {
    let directory = exe.parent()?;
    let directory = if directory.ends_with(INSIDE) { directory.parent()? } else { directory };
    Some(directory.join(NAME))
}

fn find(
    chosen: Option<PathBuf>,
    beside: Option<PathBuf>,
    path: Option<&std::ffi::OsStr>,
) -> Result<PathBuf, ApiError> {
    if let Some(program) = chosen {
        return if program.is_file() {
            Ok(program)
        } else {
            Err(ApiError::new(ErrorCode::NotFound, format!("{} is not a file", program.display()))
                .field("SANDBOXED_SH_PROGRAM")
                .hint("set it to the sandboxed-sh executable, or unset it"))
        };
    }
    let in_path = path.map(|p| std::env::split_paths(p).map(|dir| dir.join(NAME)).collect::<Vec<_>>());
    beside.into_iter().chain(in_path.unwrap_or_default()).find(|p| Path::is_file(p)).ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, "no sandboxed-sh beside this program nor in PATH")
            .hint("install sandboxed-sh, or set SANDBOXED_SH_PROGRAM to it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_inside_directory_has_its_neighbour_above() {
        let of = |exe: &str| neighbour(Path::new(exe)).unwrap();
        assert_eq!(of("/a/bin/mcp-orchestrator"), Path::new("/a/bin/sandboxed-sh"));
        assert_eq!(of("/a/bin/inside/mcp-orchestrator"), Path::new("/a/bin/sandboxed-sh"));
    }

    #[test]
    fn the_chosen_program_wins_then_the_neighbour_then_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for d in [&a, &b] {
            std::fs::create_dir(d).unwrap();
            std::fs::write(d.join(NAME), "").unwrap();
        }
        let path = Some(b.as_os_str());
        assert_eq!(find(Some(b.join(NAME)), Some(a.join(NAME)), None).unwrap(), b.join(NAME));
        assert_eq!(find(None, Some(a.join(NAME)), path).unwrap(), a.join(NAME));
        assert_eq!(find(None, Some(dir.path().join(NAME)), path).unwrap(), b.join(NAME));
        let e = find(Some(dir.path().join("none")), Some(a.join(NAME)), path).unwrap_err();
        assert_eq!(e.field.as_deref(), Some("SANDBOXED_SH_PROGRAM"));
        assert_eq!(find(None, None, None).unwrap_err().code, ErrorCode::NotFound);
    }
}
