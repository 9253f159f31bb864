//! Programs of ours and of the harnesses as they appear inside a sandbox.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::registry;
use sandboxed_domain::sandbox::{Bind, IdMap};

use crate::harness::find_program;

/// Where programs are bound inside.
const PROGRAMS: &str = "/opt/sandboxed-sh/bin";

/// The path of a program as a run sees it. In a sandbox it is bound at the sandbox's start; it is looked up again here
/// so that a missing one is a clear error.
///
/// # Errors
/// `backend_not_ready` or `sandbox_unavailable` when it is not there.
pub fn inside_program(host: bool, program: &str) -> Result<String, ApiError> {
    let found = source(program)?;
    Ok(if host { found.display().to_string() } else { format!("{PROGRAMS}/{program}") })
}

fn source(program: &str) -> Result<PathBuf, ApiError> {
    if registry().iter().any(|harness| harness.program() == Some(program)) {
        return find_program(program);
    }
    own_program(program)
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

/// The binds of all programs that are there.
pub fn program_binds() -> Vec<Bind> {
    let harnesses = registry().iter().filter_map(|harness| harness.program());
    harnesses
        .chain(["mcp-orchestrator"])
        .filter_map(|program| {
            Some(Bind {
                source: source(program).ok()?,
                target: Path::new(PROGRAMS).join(program),
                read_only: true,
                idmap: IdMap::None,
            })
        })
        .collect()
}
