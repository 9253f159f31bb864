//! Which repository a path means, and what of it.

use sandboxed_git::GitError;
use sandboxed_git::view::View;

use crate::error::{Code, Problem, Result};
use crate::root::{RelPath, Root};

/// Opens the repository that holds `text`, a path of the workspace, which need not be there any more; and the path
/// relative to the repository's top, unless it is that.
pub fn open(root: &Root, text: &str) -> Result<(View, Option<String>)> {
    let path = root.relative("path", text)?;
    let there = existing(root, &path)?;
    let view = View::open(&root.whole(&there), root.path()).map_err(|e| problem(&e))?;
    let below = root.whole(&path);
    let below = below.strip_prefix(view.top()).map(|below| below.to_string_lossy().into_owned());
    Ok((view, below.ok().filter(|below| !below.is_empty())))
}

/// The directory that holds a path, or the nearest that is there.
fn existing(root: &Root, path: &RelPath) -> Result<RelPath> {
    let mut dir = path.clone();
    loop {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        match root.open(&dir, flags) {
            Ok(_) => return Ok(dir),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if !dir.is_root() => {
                dir = dir.parent().unwrap_or_else(|| RelPath::own(""));
            }
            Err(errno) => return Err(Problem::system("open", path, errno).field("path")),
        }
    }
}

/// In this program's words.
pub fn problem(error: &GitError) -> Problem {
    let code = match error {
        GitError::NotARepository { .. } | GitError::Bare { .. } => Code::NotARepository,
        GitError::UnknownBase { .. } | GitError::NoCommits { .. } => Code::UnknownRevision,
        GitError::Redirected { .. } => Code::PathOutsideWorkspace,
        _ => Code::GitFailed,
    };
    let problem = Problem::new(code, error.to_string());
    match code {
        Code::UnknownRevision => problem,
        Code::GitFailed | Code::PathOutsideWorkspace => problem.hint(error.hint()),
        _ => problem.field("path"),
    }
}

/// The beginning of a commit's id.
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}
