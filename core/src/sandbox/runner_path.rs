//! Where the runner's program is, and whether it can run where nothing of the host is.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::SandboxError;

/// Setting that names the program.
pub const RUNNER_SETTING: &str = "SANDBOXED_SH_RUNNER";
/// Bytes at the beginning of a program that surely hold its program headers: linkers put them right after the first.
const HEAD: u64 = 16 << 10;
const NAME: &str = "sandbox-runner";

/// Directory beside this program with the static programs that run inside sandboxes.
const INSIDE: &str = "inside";

/// The runner: the one named in `SANDBOXED_SH_RUNNER`, else the one in `inside/` beside this program, else beside it.
///
/// # Errors
/// [`SandboxError::RunnerMissing`] or [`SandboxError::RunnerNotStatic`].
pub fn runner_path() -> Result<PathBuf, SandboxError> {
    let path = match std::env::var_os(RUNNER_SETTING) {
        Some(path) => PathBuf::from(path),
        None => {
            let own = std::env::current_exe()
                .map_err(SandboxError::io("find this program beside", Path::new(NAME)))?;
            let beside = own.with_file_name(NAME);
            let inside = own.with_file_name(INSIDE).join(NAME);
            if beside.is_file() && !inside.is_file() { beside } else { inside }
        }
    };
    check_runner(&path)?;
    Ok(path)
}

/// Whether a file is a static program for this machine: an ELF file that asks for no interpreter.
///
/// # Errors
/// As [`runner_path`].
pub fn check_runner(path: &Path) -> Result<(), SandboxError> {
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    if read.is_err() {
        return Err(SandboxError::RunnerMissing { path: path.to_owned() });
    }
    match needs_interpreter(&head) {
        Some(false) => Ok(()),
        Some(true) | None => Err(SandboxError::RunnerNotStatic { path: path.to_owned() }),
    }
}

/// Looks for PT_INTERP among the program headers of a 64-bit little-endian ELF file; none for any other file.
fn needs_interpreter(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if elf.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let half = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    let offset = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (usize::from(half(54)?), usize::from(half(56)?));
    for index in 0..count {
        if word(offset.checked_add(index * size)?)? == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_and_a_script_are_refused() {
        let shell = fs::canonicalize("/bin/sh").unwrap();
        assert!(matches!(check_runner(&shell), Err(SandboxError::RunnerNotStatic { .. })));
        assert_eq!(needs_interpreter(b"#!/bin/sh\n"), None);
        assert!(matches!(check_runner(Path::new("/none")), Err(SandboxError::RunnerMissing { .. })));
    }

    #[test]
    fn a_program_without_interpreter_is_taken() {
        let mut elf = vec![0u8; 64 + 56];
        elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 1;
        assert_eq!(needs_interpreter(&elf), Some(false));
        elf[64] = 3;
        assert_eq!(needs_interpreter(&elf), Some(true));
    }
}
