//! A small repository to try the system in.

use std::fs;
use std::path::Path;

use git2::{Repository, RepositoryInitOptions, Signature};

use super::error::{GitError, Result};

const FILES: [(&str, &str); 5] = [
    (
        "README.md",
        "# Sample\n\nA small project to try workers on. Each file below `notes/` has room for improvement.\n",
    ),
    ("notes/fruit.txt", "apple\npear\nplum\n"),
    ("notes/colours.txt", "red\ngreen\nblue\n"),
    ("notes/numbers.txt", "1\n2\n3\n"),
    (".gitignore", "*.log\n"),
];

/// Makes a repository at `path`, which must be absent or empty: a few text files and one commit on `main`, by the given
/// author (name, email). Returns the commit.
///
/// # Errors
/// [`GitError::PathTaken`] when something is there; a failure to write.
pub fn init_sample(path: &Path, author: (&str, &str)) -> Result<String> {
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) || path.is_file() {
        return Err(GitError::PathTaken { path: path.to_owned() });
    }
    for (name, content) in FILES {
        let file = path.join(name);
        let parent = file.parent().unwrap_or(path);
        fs::create_dir_all(parent).map_err(|e| GitError::io("creating", parent, e))?;
        fs::write(&file, content).map_err(|e| GitError::io("writing", &file, e))?;
    }
    commit_all(path, author).map_err(|e| GitError::git("making the sample", path, e))
}

fn commit_all(path: &Path, (name, email): (&str, &str)) -> std::result::Result<String, git2::Error> {
    // The user's template may hold hooks; a sample has none.
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main").external_template(false).no_reinit(true);
    let repo = Repository::init_opts(path, &options)?;
    let mut index = repo.index()?;
    for (file, _) in FILES {
        index.add_path(Path::new(file))?;
    }
    let tree = repo.find_tree(index.write_tree()?)?;
    index.write()?;
    let author = Signature::now(name, email)?;
    let commit = repo.commit(Some("HEAD"), &author, &author, "Start the sample", &tree, &[])?;
    Ok(commit.to_string())
}
