//! The programs that run inside sandboxes, hence static: `inside/` beside the running program. In a source checkout they
//! are built when they are missing or older than their sources; cargo itself knows which.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandboxed_domain::api::{ApiError, ErrorCode};

use crate::sandbox::runner_path::check_runner;

/// What every mission needs. Package and program have the same name.
pub(super) const NEEDED: &[&str] = &["sandbox-runner", "mcp-orchestrator"];
/// Tools that missions may select.
pub(super) const SELECTABLE: &[&str] = &["workspace-mcp", "desktop-mcp"];
/// Lines of a failed build that are shown.
const SHOWN_LINES: usize = 30;

/// `inside/` beside the running program.
pub(super) fn directory() -> Result<PathBuf, ApiError> {
    let own = std::env::current_exe().map_err(|e| failed(format!("where is this program? {e}")))?;
    Ok(own.with_file_name("inside"))
}

/// The program's path, when it is there and static.
pub(super) fn find(program: &str) -> Result<PathBuf, ApiError> {
    let path = directory()?.join(program);
    match check_runner(&path) {
        Ok(()) => Ok(path),
        Err(_) => {
            let state = if path.exists() { "is not static" } else { "is not there" };
            Err(ApiError::new(ErrorCode::SandboxUnavailable, format!("{} {state}", path.display()))
                .hint("run `sandboxed-sh doctor --fix` from a source checkout"))
        }
    }
}

/// Builds what is missing or old of these, and puts it in place. `say` hears what is done; nothing outside of a checkout.
pub(super) fn build<'a>(
    programs: impl IntoIterator<Item = &'a &'a str>,
    say: &dyn Fn(&str),
) -> Result<(), ApiError> {
    let own = std::env::current_exe().map_err(|e| failed(format!("where is this program? {e}")))?;
    let Some(checkout) = Checkout::find(&own) else { return Ok(()) };
    let directory = directory()?;
    fs::create_dir_all(&directory).map_err(|e| failed(format!("{}: {e}", directory.display())))?;
    for program in programs {
        checkout.build(program, say)?;
        let built = checkout.target.join(&checkout.profile).join(program);
        if put(&built, &directory.join(program)).map_err(|e| failed(format!("{}: {e}", built.display())))? {
            say(&format!("built {}", directory.join(program).display()));
        }
    }
    Ok(())
}

/// A source checkout whose cargo made the running program.
#[derive(Debug, PartialEq, Eq)]
struct Checkout {
    root: PathBuf,
    target: PathBuf,
    /// Name of the directory in `target`.
    profile: String,
}

impl Checkout {
    /// From `<target>/<profile>/<program>`: `cargo run` says where the sources are, else they are above.
    fn find(own: &Path) -> Option<Self> {
        let directory = own.parent()?;
        let said = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let mut places = said.iter().flat_map(|path| path.ancestors()).chain(own.ancestors());
        let root = places.find(|place| is_checkout(place))?.to_owned();
        Some(Self {
            root,
            target: directory.parent()?.to_owned(),
            profile: directory.file_name()?.to_str()?.to_owned(),
        })
    }

    fn build(&self, program: &str, say: &dyn Fn(&str)) -> Result<(), ApiError> {
        let mut command = self.command(program);
        let mut child = command.spawn().map_err(|e| {
            failed(format!("{}: {e}", command.get_program().display())).hint("put cargo on PATH")
        })?;
        let mut lines = Vec::new();
        let mut begun = false;
        for line in child.stderr.take().into_iter().flat_map(|err| BufReader::new(err).lines()) {
            let Ok(line) = line else { break };
            if !begun && line.trim_start().starts_with("Compiling") {
                begun = true;
                say(&format!("building {program}, statically linked…"));
            }
            lines.push(line);
        }
        let status = child.wait().map_err(|e| failed(format!("cargo: {e}")))?;
        if status.success() {
            return Ok(());
        }
        let shown = lines.split_off(lines.len().saturating_sub(SHOWN_LINES)).join("\n");
        Err(failed(format!("building {program}: {status}\n{shown}")))
    }

    /// Only the program itself is linked anew: proc macros and dependencies stay as they are.
    fn command(&self, program: &str) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["rustc", "-p", program, "--bin", program, "--target-dir"]).arg(&self.target);
        match self.profile.as_str() {
            "debug" => {}
            "release" => drop(command.arg("--release")),
            other => drop(command.args(["--profile", other])),
        }
        // What `cargo run` tells its program would make the second cargo see a changed environment.
        let told = std::env::vars_os().map(|(name, _)| name).filter(|name| {
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
        });
        for name in told {
            command.env_remove(name);
        }
        command
            .args(["--", "-C", "target-feature=+crt-static"])
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

fn is_checkout(place: &Path) -> bool {
    place.join("Cargo.toml").is_file() && place.join("core/runner/Cargo.toml").is_file()
}

/// Copies when the content differs, by rename: a running program's file cannot be written. Whether it did.
fn put(from: &Path, to: &Path) -> std::io::Result<bool> {
    let content = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let temporary = to.with_extension(format!("new-{}", std::process::id()));
    let moved = fs::copy(from, &temporary).and_then(|_| fs::rename(&temporary, to));
    if moved.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    moved.map(|()| true)
}

fn failed(message: String) -> ApiError {
    ApiError::new(ErrorCode::Internal, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_found_above_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("target/release/sandboxed-sh");
        fs::create_dir_all(dir.path().join("core/runner")).unwrap();
        fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        assert!(!is_checkout(dir.path()));
        fs::write(dir.path().join("core/runner/Cargo.toml"), "").unwrap();
        assert!(is_checkout(dir.path()));
        let found = Checkout::find(&own).unwrap();
        assert_eq!((found.profile.as_str(), found.target), ("release", dir.path().join("target")));
    }

    #[test]
    fn a_file_is_replaced_only_by_another_content() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&from, "one").unwrap();
        assert!(put(&from, &to).unwrap());
        assert!(!put(&from, &to).unwrap());
        fs::write(&from, "two").unwrap();
        let running = fs::File::open(&to).unwrap();
        assert!(put(&from, &to).unwrap());
        assert_eq!(std::io::read_to_string(running).unwrap(), "one");
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
