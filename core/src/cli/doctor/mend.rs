//! Mending what can be mended without a question: packages by apt-get, kernel modules, limits of namespaces, our own
//! programs.

use std::process::{Command, Stdio};

use sandboxed_domain::api::{ApiError, ErrorCode};

use super::checks;
use crate::cli::inside;
use crate::sandbox::{Check, Need};

const INSTALL: &str = "apt-get install ";
const MODPROBE: &str = "modprobe ";
const SYSCTL: &str = "sysctl -w ";

/// How much is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All that can be.
    All,
    /// What every mission needs: nothing for desktops on this machine itself, no tools that are selected. Of a first
    /// build these take half the time.
    Missions,
}

/// Mends what it can; `say` hears each thing done. Returns what is found afterwards.
///
/// # Errors
/// A package cannot be installed, or a program cannot be built.
pub(super) async fn fix(extent: Extent, say: &dyn Fn(&str)) -> Result<Vec<Check>, ApiError> {
    let mut found = checks::all().await;
    found.retain(|check| extent == Extent::All || check.needed_for != Need::Desktops);
    let packages = arguments(&found, INSTALL);
    if !packages.is_empty() {
        install(&packages, say)?;
    }
    // Whether these helped is seen by the next look.
    for module in arguments(&found, MODPROBE) {
        say(&format!("loading kernel module {module}"));
        let _ = Command::new("modprobe").arg(&module).stdin(Stdio::null()).status();
    }
    for setting in arguments(&found, SYSCTL) {
        say(&format!("setting {setting} until the next boot"));
        let _ = Command::new("sysctl").args(["-q", "-w", &setting]).stdin(Stdio::null()).status();
    }
    match extent {
        Extent::All => inside::build(inside::NEEDED.iter().chain(inside::SELECTABLE), say)?,
        Extent::Missions => inside::build(inside::NEEDED, say)?,
    }
    Ok(checks::all().await)
}

/// For a verb that needs the machine ready: mends, and refuses with what is still missing.
///
/// # Errors
/// As [`fix`]; `SandboxUnavailable` naming each required thing with its command.
pub(in crate::cli) async fn prepare(say: &dyn Fn(&str)) -> Result<(), ApiError> {
    let found = fix(Extent::Missions, say).await?;
    let matters = |check: &&Check| check.required && !inside::SELECTABLE.contains(&check.name);
    let missing: Vec<&Check> = found.iter().filter(matters).filter(|check| !check.ok).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let join = |part: fn(&Check) -> String, by: &str| {
        missing.iter().map(|check| part(check)).collect::<Vec<_>>().join(by)
    };
    let what = join(|check| format!("{}: {}", check.name, check.detail), "; ");
    Err(ApiError::new(ErrorCode::SandboxUnavailable, format!("this machine is not ready: {what}"))
        .hint(join(|check| check.mend.clone(), "; ")))
}

/// What follows `command` in the mending commands of failed checks.
fn arguments(found: &[Check], command: &str) -> Vec<String> {
    let failed = found.iter().filter(|check| !check.ok);
    let given = failed.filter_map(|check| check.mend.strip_prefix(command));
    given.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

fn install(packages: &[String], say: &dyn Fn(&str)) -> Result<(), ApiError> {
    say(&format!("installing missing packages: {}", packages.join(" ")));
    let mut command = vec!["install", "-y", "-q", "--no-install-recommends"];
    command.extend(packages.iter().map(String::as_str));
    if apt_get(&command).is_ok() {
        return Ok(());
    }
    say("reading the package lists (apt-get update)");
    apt_get(&["update", "-q"])?;
    apt_get(&command)
}

fn apt_get(arguments: &[&str]) -> Result<(), ApiError> {
    let refused = |text: String| {
        ApiError::new(ErrorCode::SandboxUnavailable, text)
            .hint(format!("run it by hand: apt-get {}", arguments.join(" ")))
    };
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| refused(format!("apt-get: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(refused(format!("apt-get {}: {}: {last}", arguments.first().unwrap_or(&""), output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_that_failed_checks_name() {
        let check = |ok: bool, mend: &str| {
            let found = if ok { Ok(String::new()) } else { Err(String::new()) };
            Check::of("x", Need::Sandboxes, found, mend)
        };
        let found = [
            check(false, "apt-get install systemd-container"),
            check(false, "modprobe overlay"),
            check(false, "apt-get install git procps"),
            check(true, ""),
            check(false, "boot another kernel"),
            check(false, "sysctl -w user.max_user_namespaces=65536"),
        ];
        assert_eq!(arguments(&found, INSTALL), ["systemd-container", "git", "procps"]);
        assert_eq!(arguments(&found, MODPROBE), ["overlay"]);
        assert_eq!(arguments(&found, SYSCTL), ["user.max_user_namespaces=65536"]);
    }
}
