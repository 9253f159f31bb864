//! `library` and its verbs: one call of the daemon each, but for `check`, which looks at any folder.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use sandboxed_client::Client;
use sandboxed_domain::api::{
    ApiError, ErrorCode, LibraryChangeKind, LibraryCommit, LibraryCommitParams, LibraryFileParams,
    LibraryHistory, LibraryHistoryParams, LibraryRevertParams, LibraryStatus, LibraryView,
    LibraryWriteParams,
};
use sandboxed_domain::library::{LARGEST_LIBRARY_FILE, Problem};

use super::args::JsonArg;
use super::run::Outcome;
use super::{daemon, out};
use crate::library::check_folder;

/// Verbs of `library`.
#[derive(Debug, Subcommand)]
pub enum LibraryVerb {
    /// List what is in it, and what is wrong with it
    List {
        /// Print JSON.
        #[command(flatten)]
        json: JsonArg,
    },
    /// Tell how it stands against its last commit and its remote
    Status {
        /// Print JSON.
        #[command(flatten)]
        json: JsonArg,
    },
    /// Bring in what the remote has; conflicts are told, and nothing is changed then
    Sync {
        /// Print JSON.
        #[command(flatten)]
        json: JsonArg,
    },
    /// Commit changes
    Commit {
        /// Only these files [default: all changes]
        paths: Vec<String>,
        /// Why
        #[arg(long, short)]
        message: String,
    },
    /// Push commits to the remote, never by force
    Push,
    /// List commits, newest first
    History(LibraryHistoryArgs),
    /// Undo a commit by a new one, or drop changes that are not committed
    Revert {
        /// Files to put back to the last commit
        #[arg(required_unless_present = "commit", conflicts_with = "commit")]
        paths: Vec<String>,
        /// The commit to undo
        #[arg(long, value_name = "ID")]
        commit: Option<String>,
    },
    /// Print a file
    Show {
        /// The file, below the Library's folder
        path: String,
        /// As it was in this commit
        #[arg(long, value_name = "ID")]
        commit: Option<String>,
    },
    /// Write a file from stdin
    Write {
        /// The file, below the Library's folder
        path: String,
        /// It is a program
        #[arg(long)]
        executable: bool,
    },
    /// Remove a file
    Remove {
        /// The file, below the Library's folder
        path: String,
    },
    /// Check any folder that is to be a Library; exit status 1 when something is wrong
    Check {
        /// The folder
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Print JSON.
        #[command(flatten)]
        json: JsonArg,
    },
}

/// `library history`.
#[derive(Debug, Args)]
pub struct LibraryHistoryArgs {
    /// Only commits that change this file or folder
    pub path: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    /// Go on where the last page ended
    #[arg(long)]
    pub cursor: Option<String>,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}

/// Runs the verb.
pub(super) async fn run(verb: LibraryVerb) -> Outcome {
    match verb {
        LibraryVerb::Check { folder, json } => check(&folder, json),
        LibraryVerb::Write { path, executable } => {
            // Stdin is read before the daemon is started for nothing.
            let content = stdin()?;
            let params = LibraryWriteParams { path, content, executable: executable.then_some(true) };
            let file = daemon::connect().await?.write_library_file(&params).await?;
            tell(&file.problems);
            Ok(0)
        }
        verb => call(&daemon::connect().await?, verb).await,
    }
}

async fn call(client: &Client, verb: LibraryVerb) -> Outcome {
    match verb {
        LibraryVerb::List { json } => list(&client.library().await?, json)?,
        LibraryVerb::Status { json } => status(&client.library_status().await?, json)?,
        LibraryVerb::Sync { json } => {
            let answer = client.sync_library().await?;
            match json.json {
                true => out::json(&answer)?,
                false => out::say(if answer.updated { "brought in" } else { "nothing new" }),
            }
        }
        LibraryVerb::Commit { paths, message } => {
            said("committed", &client.commit_library(&LibraryCommitParams { message, paths }).await?);
        }
        LibraryVerb::Push => {
            client.push_library().await?;
            out::say("pushed");
        }
        LibraryVerb::History(args) => history(client, args).await?,
        LibraryVerb::Revert { paths, commit } => {
            match client.revert_library(&LibraryRevertParams { commit, paths }).await? {
                Some(commit) => said("reverted by", &commit),
                None => out::say("put back"),
            }
        }
        LibraryVerb::Show { path, commit } => {
            out::raw(&client.library_file(&LibraryFileParams { path, commit }).await?.content)?;
        }
        LibraryVerb::Remove { path } => {
            client.remove_library_file(&LibraryFileParams { path, commit: None }).await?;
            out::say("removed");
        }
        // Done without the daemon.
        LibraryVerb::Write { .. } | LibraryVerb::Check { .. } => {}
    }
    Ok(0)
}

fn stdin() -> Result<String, ApiError> {
    let mut text = String::new();
    let most = LARGEST_LIBRARY_FILE + 1;
    let read = std::io::stdin().lock().take(most).read_to_string(&mut text);
    read.map_err(|error| ApiError::new(ErrorCode::InvalidArgument, format!("stdin: {error}")))?;
    Ok(text)
}

fn said(what: &str, commit: &LibraryCommit) {
    let id = commit.id.get(..12).unwrap_or(&commit.id);
    out::say(&format!("{what} {id} ({} files)", commit.paths.len()));
}

fn tell(problems: &[Problem]) {
    for problem in problems {
        out::say(&problem.to_string());
    }
}

fn check(folder: &std::path::Path, json: JsonArg) -> Outcome {
    let library = check_folder(folder);
    match json.json {
        true => out::json(&library.problems)?,
        false => {
            tell(&library.problems);
            out::say(&format!("{} sound, {} problems", library.names().len(), library.problems.len()));
        }
    }
    Ok(u8::from(!library.problems.is_empty()))
}

fn list(view: &LibraryView, json: JsonArg) -> Result<(), ApiError> {
    if json.json {
        return out::json(view);
    }
    let heading = ["KIND", "NAME", "DESCRIPTION"].map(str::to_owned).to_vec();
    let row = |item: &sandboxed_domain::api::LibraryItem| {
        vec![item.kind.as_str().to_owned(), item.name.clone(), out::one_line(&item.description, 100)]
    };
    out::raw(&out::table(&std::iter::once(heading).chain(view.items.iter().map(row)).collect::<Vec<_>>()))?;
    tell(&view.problems);
    Ok(())
}

fn status(status: &LibraryStatus, json: JsonArg) -> Result<(), ApiError> {
    if json.json {
        return out::json(status);
    }
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let own = [
        ("folder", status.path.clone()),
        ("commit", dash(&status.head)),
        ("remote", status.remote.clone().unwrap_or_else(|| "none: it is this machine's alone".to_owned())),
    ];
    let of_remote = [
        ("branch", dash(&status.branch)),
        ("ahead", status.ahead.to_string()),
        ("behind", status.behind.to_string()),
        (
            "fetched",
            status.fetched_at.map_or_else(|| "-".to_owned(), |at| at.format("%F %T UTC").to_string()),
        ),
        ("fetch error", dash(&status.fetch_error)),
    ];
    let rows = own.into_iter().chain(of_remote.into_iter().filter(|_| status.remote.is_some()));
    let row = |(name, value): (&str, String)| vec![name.to_owned(), out::one_line(&value, 300)];
    out::raw(&out::table(&rows.map(row).collect::<Vec<_>>()))?;
    for change in &status.changes {
        let word = match change.change {
            LibraryChangeKind::Added => "added",
            LibraryChangeKind::Modified => "modified",
            LibraryChangeKind::Removed => "removed",
        };
        out::line(&format!("{word:<10} {}", out::one_line(&change.path, 300)))?;
    }
    for path in &status.conflicts {
        out::line(&format!("{:<10} {}", "conflict", out::one_line(path, 300)))?;
    }
    Ok(())
}

async fn history(client: &Client, args: LibraryHistoryArgs) -> Result<(), ApiError> {
    let LibraryHistoryArgs { path, limit, cursor, json } = args;
    let page = client.library_history(&LibraryHistoryParams { path, limit: Some(limit), cursor }).await?;
    if json.json {
        return out::json(&page);
    }
    let LibraryHistory { commits, next_cursor } = page;
    for commit in &commits {
        let id = commit.id.get(..12).unwrap_or(&commit.id);
        let (at, author) = (commit.committed_at.format("%F %T"), out::one_line(&commit.author, 24));
        out::line(&format!("{id}  {at}  {author:<24}  {}", out::one_line(&commit.message, 100)))?;
    }
    if let Some(cursor) = next_cursor {
        out::say(&format!("more with --cursor {cursor}"));
    }
    Ok(())
}
