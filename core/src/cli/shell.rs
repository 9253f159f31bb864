//! `workspace shell`: this terminal becomes that of a program in a workspace.

use std::os::fd::AsFd;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use sandboxed_client::Client;
use sandboxed_domain::api::{ApiError, ErrorCode, ShellEvent, ShellInput, ShellParams};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::args::WorkspaceShellArgs;
use super::run::Outcome;
use super::{daemon, image, out};

/// Most bytes of keys sent at once.
const KEYS: usize = 16 << 10;

/// Runs until the program ends; its exit status is ours.
pub(super) async fn run(args: WorkspaceShellArgs) -> Outcome {
    let client = daemon::connect().await?;
    image::ensure(&client, &args.workspace).await?;
    let (rows, cols) = size().unzip();
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
    let params = ShellParams { argv: args.argv, cwd: args.cwd, term, rows, cols };
    let (begun, run_id) = oneshot::channel();
    let mut begun = Some(begun);
    let mut status = 1;
    let shown = client.shell(&args.workspace, &params, |event| {
        match event {
            ShellEvent::Started { run_id } => drop(begun.take().map(|begun| begun.send(run_id))),
            ShellEvent::Output { data } => {
                let bytes = STANDARD.decode(data);
                out::bytes(&bytes.map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?)?;
            }
            ShellEvent::Ended { exit_code, signal, reason } => {
                let code = exit_code.or_else(|| signal.map(|signal| 128 + signal)).unwrap_or(1);
                status = u8::try_from(code).unwrap_or(1);
                if let Some(reason) = reason {
                    out::say(&format!("\r\nended: {reason}"));
                }
            }
        }
        Ok(())
    });
    let _raw = Raw::enter();
    tokio::select! {
        ended = shown => ended?,
        error = type_into(&client, &args.workspace, run_id) => return Err(error),
    }
    Ok(status)
}

/// Sends keys and sizes for as long as it runs; returns only when that fails.
async fn type_into(client: &Client, workspace: &str, run_id: oneshot::Receiver<String>) -> ApiError {
    let Ok(run_id) = run_id.await else { return std::future::pending().await };
    let Ok(mut resized) = signal(SignalKind::window_change()) else { return std::future::pending().await };
    let (mut stdin, mut keys, mut open) = (tokio::io::stdin(), Vec::with_capacity(KEYS), true);
    loop {
        let input = tokio::select! {
            read = stdin.read_buf(&mut keys), if open => {
                open = read.is_ok_and(|count| count > 0);
                ShellInput { data: take_text(&mut keys, !open), close: !open, ..ShellInput::default() }
            }
            _ = resized.recv() => {
                let (rows, cols) = size().unzip();
                ShellInput { rows, cols, ..ShellInput::default() }
            }
        };
        match client.shell_input(workspace, &run_id, &input).await {
            // It has ended, which is told by its own answer.
            Err(error) if error.code == ErrorCode::NotFound => return std::future::pending().await,
            Err(error) => return error,
            Ok(()) => {}
        }
    }
}

/// The whole characters; the beginning of one stays for the next time. What is none becomes a replacement.
fn take_text(keys: &mut Vec<u8>, end: bool) -> String {
    let last = keys.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let unfinished = match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() && !end => last.len(),
        _ => 0,
    };
    let whole: Vec<u8> = keys.drain(..keys.len() - unfinished).collect();
    String::from_utf8_lossy(&whole).into_owned()
}

/// This terminal's size; none when it is none.
fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout().as_fd()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Keys go through as they are typed while it lives.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Self {
        let stdin = std::io::stdin();
        if !isatty(&stdin) {
            return Self(None);
        }
        let before = tcgetattr(&stdin).ok();
        if let Some(mut raw) = before.clone() {
            raw.make_raw();
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_comes_in_two_parts_stays_whole() {
        let mut keys = "aé".as_bytes()[..2].to_vec();
        assert_eq!(take_text(&mut keys, false), "a");
        keys.push("é".as_bytes()[1]);
        assert_eq!(take_text(&mut keys, false), "é");
        keys.extend([0xff, b'x', 0xc3]);
        assert_eq!(take_text(&mut keys, false), "\u{fffd}x");
        assert_eq!((take_text(&mut keys, true), keys.len()), ("\u{fffd}".to_owned(), 0));
    }
}
