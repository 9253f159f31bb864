//! Programs of ours and of the harnesses as they appear inside a sandbox.
//!
//! What is installed lies in one directory that every sandbox has bound read-only, so that what comes later appears in
//! those that run as well. A user's own programs are bound one by one when the sandbox starts.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode, ProgramSource};
use sandboxed_domain::harness::{Harness, Program, registry};
use sandboxed_domain::sandbox::{Bind, IdMap};

use super::running::Live;
use crate::harness::{Found, Programs};
use crate::store::make_private;

/// Where single programs are bound inside.
const PROGRAMS: &str = "/opt/sandboxed-sh/bin";
/// Where directories of a user's own programs are bound.
const OWN: &str = "/opt/sandboxed-sh/own";
/// Where the installed programs are bound.
const INSTALLED: &str = "/opt/sandboxed-sh/clis";

/// Programs of this project that runs may call: servers of tools.
const TOOLS: [&str; 3] = ["mcp-orchestrator", "workspace-mcp", "desktop-mcp"];

/// What a run of `harness` has to call, as it sees it: an interpreter before its script. Empty when it needs none.
///
/// # Errors
/// `backend_not_ready` when it is not there; `wrong_state` when it came after the sandbox started.
pub fn inside_argv(programs: &Programs, live: &Live, harness: &dyn Harness) -> Result<Vec<String>, ApiError> {
    let Some(program) = harness.program() else { return Ok(Vec::new()) };
    let found = programs.find(program).map_err(|error| error.for_backend(harness))?;
    found.iter().map(|found| inside_path(live, found).map(|path| path.display().to_string())).collect()
}

fn inside_path(live: &Live, found: &Found) -> Result<PathBuf, ApiError> {
    let Live::Container(sandbox) = live else { return Ok(found.path()) };
    let (target, path) = place(found);
    let binds = sandbox.record().spec.iter().flat_map(|spec| &spec.binds);
    if binds.into_iter().any(|bind| bind.target == target) {
        return Ok(path);
    }
    let text = format!("the sandbox was started before {} was there", found.path().display());
    Err(ApiError::new(ErrorCode::WrongState, text).field("backend").hint(
        "stop the workspace (`sandboxed-sh workspace stop`), then resume the mission: it starts with it",
    ))
}

/// Where a program's bind is inside, and where it is itself.
fn place(found: &Found) -> (PathBuf, PathBuf) {
    let name = found.program.command;
    if found.source == ProgramSource::Installed {
        let directory = Path::new(INSTALLED).join(found.program.directory());
        return (INSTALLED.into(), directory.join(&found.entry));
    }
    if found.entry.as_os_str().is_empty() {
        let file = Path::new(PROGRAMS).join(name);
        return (file.clone(), file);
    }
    let directory = Path::new(OWN).join(name);
    (directory.clone(), directory.join(&found.entry))
}

/// The path of one of our own programs as a run sees it.
///
/// # Errors
/// `sandbox_unavailable`: it is not there.
pub fn inside_own_program(host: bool, program: &str) -> Result<String, ApiError> {
    let found = own_program(program)?;
    Ok(if host { found.display().to_string() } else { format!("{PROGRAMS}/{program}") })
}

/// A program of this project that runs inside sandboxes, hence static: in `inside/` beside the running program, or
/// beside it.
///
/// # Errors
/// `sandbox_unavailable`: it is not there.
pub fn own_program(program: &str) -> Result<PathBuf, ApiError> {
    let own = std::env::current_exe().ok();
    let directory = own.as_deref().and_then(Path::parent);
    let places = directory.map(|directory| [directory.join("inside").join(program), directory.join(program)]);
    places.into_iter().flatten().find(|path| path.is_file()).ok_or_else(|| {
        ApiError::new(ErrorCode::SandboxUnavailable, format!("{program} is not beside the running program"))
            .field(program)
            .hint("build all of it with `cargo run --release -- doctor --fix`")
    })
}

/// The binds of all programs that are there, and of the directory for those to come.
///
/// # Errors
/// That directory cannot be made.
pub fn program_binds(programs: &Programs) -> Result<Vec<Bind>, ApiError> {
    let cache = programs.cache();
    make_private(cache)?;
    // Its owner is root inside: to others the directory is closed.
    let all = Bind { idmap: IdMap::RootIdmap, ..bind(cache.to_owned(), INSTALLED.into()) };
    let mut binds = vec![all];
    for name in TOOLS {
        binds.extend(own_program(name).ok().map(|path| bind(path, Path::new(PROGRAMS).join(name))));
    }
    let users = registry().iter().filter_map(|harness| harness.program()).flat_map(Program::with_interpreter);
    for found in users.filter_map(|program| programs.find(program).ok()).flatten() {
        let (target, _) = place(&found);
        if !binds.iter().any(|bind| bind.target == target) {
            binds.push(bind(found.root, target));
        }
    }
    Ok(binds)
}

fn bind(source: PathBuf, target: PathBuf) -> Bind {
    Bind { source, target, read_only: true, idmap: IdMap::None }
}
