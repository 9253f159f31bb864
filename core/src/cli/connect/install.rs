//! The verb: prints the settings, or writes them and shows what changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sandboxed_domain::api::{ApiError, ErrorCode};

use super::{SERVER, claude, codex};
use crate::cli::args::{ClientKind, ConnectArgs};
use crate::cli::run::Outcome;
use crate::cli::{inside, out};

const SKILL: &str = include_str!("../../../../skills/orchestrator-boss/SKILL.md");
const SKILL_PATH: &str = ".claude/skills/orchestrator-boss/SKILL.md";

/// Lines of a change that are shown of each side.
const SHOWN_LINES: usize = 40;

/// `connect`.
pub(in crate::cli) fn run(args: &ConnectArgs) -> Outcome {
    let program = program()?;
    let here = std::env::current_dir().map_err(|e| ApiError::invalid("working directory", e.to_string()))?;
    let file = match args.client {
        ClientKind::Claude => here.join(".mcp.json"),
        ClientKind::Codex => codex::config_file()?,
    };
    let merge = |old: &str| match args.client {
        ClientKind::Claude => claude::merge(old, &program),
        ClientKind::Codex => codex::merge(old, &program),
    };
    if args.write {
        write(&file, &merge)?;
        if args.client == ClientKind::Claude {
            write(&here.join(SKILL_PATH), &|_| Ok(SKILL.to_owned()))?;
        }
    } else {
        out::raw(&merge("")?)?;
        out::say(&format!("this belongs into {}; --write puts it there and keeps all else", file.display()));
    }
    out::say(&hint(args.client));
    Ok(0)
}

/// The commands that connect each client, with this program's full path.
pub(in crate::cli) fn commands() -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_else(|_| "sandboxed-sh".into());
    let command = |client: &ClientKind| {
        let name = client.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        format!("{} connect {name} --write", program.display())
    };
    ClientKind::value_variants().iter().map(command).collect()
}

/// The orchestrator, wherever it may be found; as an absolute path that a client can start from anywhere.
fn program() -> Result<PathBuf, ApiError> {
    inside::build(inside::NEEDED.iter().chain(inside::SELECTABLE), &|text| out::say(text))?;
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("mcp-orchestrator"));
    inside::find("mcp-orchestrator").or_else(|error| beside.filter(|path| path.is_file()).ok_or(error))
}

fn hint(client: ClientKind) -> String {
    match client {
        ClientKind::Claude => {
            format!("then start the boss with: claude --allowedTools mcp__{SERVER}  (in this directory)")
        }
        ClientKind::Codex => "then start the boss with: codex  (in the repository to work on)".to_owned(),
    }
}

/// Changes a file by `merge`, whole or not at all, and shows the difference.
fn write(path: &Path, merge: &dyn Fn(&str) -> Result<String, ApiError>) -> Result<(), ApiError> {
    let refused = |e: io::Error| {
        let code = if e.kind() == io::ErrorKind::PermissionDenied {
            ErrorCode::Forbidden
        } else {
            ErrorCode::Internal
        };
        ApiError::new(code, format!("{}: {e}", path.display())).field(path.display().to_string())
    };
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(refused(e)),
    };
    let new = merge(&old).map_err(|error| error.field(path.display().to_string()))?;
    if new == old {
        out::say(&format!("{}: nothing to change", path.display()));
        return Ok(());
    }
    // A link is written through: dotfiles are often links into a repository.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(&target, &new).map_err(refused)?;
    if old.is_empty() && new.lines().count() > SHOWN_LINES {
        out::say(&format!("{}: installed", path.display()));
    } else {
        out::say(&format!("{}:", path.display()));
        out::say_raw(&difference(&old, &new));
    }
    Ok(())
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let written = fs::write(&temporary, text)
        .and_then(|()| match fs::metadata(path) {
            Ok(old) => fs::set_permissions(&temporary, old.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The lines between what is common at the start and at the end: a settings file changes in one place.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let side = |mark: char, lines: &[&str]| {
        let shown: String = lines.iter().take(SHOWN_LINES).map(|line| format!("{mark} {line}\n")).collect();
        let more = lines.len().saturating_sub(SHOWN_LINES);
        if more > 0 { format!("{shown}{mark} … {more} more lines\n") } else { shown }
    };
    side('-', &old[..old.len() - end]) + &side('+', &new[..new.len() - end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_what_lies_between_common_ends() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\ny\nc\n"), "- b\n+ x\n+ y\n");
        assert_eq!(difference("", "a\n"), "+ a\n");
        assert_eq!(difference("a\n", "a\na\n"), "+ a\n");
        assert_eq!(difference("a\n", "a\n"), "");
    }

    #[test]
    fn a_file_is_changed_through_a_link_and_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.json"), dir.path().join("link.json"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, &|_| Ok("new".to_owned())).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
