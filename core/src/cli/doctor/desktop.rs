//! What `desktop-mcp` needs where it runs. In sandboxes an image of the template `desktop` has it; these are for desktops
//! on this machine.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::checks::in_path;
use crate::sandbox::{Check, Need};

/// Program and the Debian package that has it; one with a `/` is a file.
const PROGRAMS: [(&str, &str); 5] = [
    ("openbox", "openbox"),
    ("dbus-daemon", "dbus"),
    ("/usr/libexec/at-spi-bus-launcher", "at-spi2-core"),
    ("tesseract", "tesseract-ocr"),
    ("ffmpeg", "ffmpeg"),
];

pub(super) fn checks() -> Vec<Check> {
    let server = Check::of("Xvfb", Need::Desktops, server(), "apt-get install xvfb");
    std::iter::once(server)
        .chain(PROGRAMS.iter().map(|(program, package)| present(program, package)))
        .collect()
}

fn present(program: &'static str, package: &str) -> Check {
    let file = if program.contains('/') {
        Some(Path::new(program).to_owned()).filter(|file| file.is_file())
    } else {
        in_path(program)
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    let found = file.map(|file| file.display().to_string()).ok_or_else(|| "not installed".to_owned());
    Check::of(name, Need::Desktops, found, &format!("apt-get install {package}"))
}

/// Starts an X server, which chooses a free number, and ends it.
fn server() -> Result<String, String> {
    let mut child = Command::new("Xvfb")
        .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "64x64x24"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("Xvfb: {error}"))?;
    // It says the number when it serves; when it ends first, there is nothing to read.
    let number = child.stdout.take().and_then(|out| {
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line)
    });
    let ended = end(&mut child);
    match number {
        Some(number) => Ok(format!("started as display {}", number.trim())),
        None => Err(format!("does not start: {ended}")),
    }
}

fn end(child: &mut Child) -> String {
    use nix::sys::signal::{Signal, kill};
    // TERM lets it remove its lock and socket.
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
    }
    child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_told_with_its_package() {
        assert!(present("sh", "dash").ok);
        let absent = present("no-such-program", "nothing");
        assert_eq!(
            (absent.ok, absent.mend.as_str(), absent.required),
            (false, "apt-get install nothing", false)
        );
        assert!(absent.fixable, "{absent:?}");
        assert_eq!(present("/no/such/launcher", "x").name, "launcher");
    }
}
