//! The tools that act, as clients see them, and what they answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use rmcp::model::{ContentBlock, Tool};
use sandboxed_mcp::Answer;
use sandboxed_mcp::tools::{Effect, data, text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clipboard::Content;
use super::computer::ComputerParams;
use super::launch::{ENDED_OUTPUT, Launched, RUNNING_OUTPUT, launch as start_program};
use super::windows::{Became, Wish, manage};
use crate::error::{Problem, Result};
use crate::geometry::Rect;
use crate::see::{WindowEntry, entry, find_window};
use crate::session::Desktop;

/// Longest time that a program is given to show a window, in seconds.
const LONGEST_WAIT: f64 = 120.0;
/// Longest command in bytes.
const LONGEST_COMMAND: usize = 32 << 10;
/// Most characters of the clipboard that are shown.
const SHOWN: usize = 30_000;

/// Parameters of `launch_program`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// Shell command
    command: String,
    /// Directory in which it starts [this server's]
    #[serde(default)]
    directory: String,
    /// More variables of its environment
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Seconds to wait for a window, 0 to 120 [15]
    #[serde(default = "fifteen")]
    wait_seconds: f64,
}

const fn fifteen() -> f64 {
    15.0
}

/// Answer of `launch_program`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LaunchResponse {
    /// Its process
    pid: i32,
    /// window: it has one; running: not yet; ended
    status: LaunchStatus,
    /// Its window
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowEntry>,
    /// The end of what it wrote
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
}

/// How a program is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaunchStatus {
    /// It has a window
    Window,
    /// It runs without one so far
    Running,
    /// It has ended
    Ended,
}

/// Parameters of `manage_window`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManageParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// Its number, or a part of its title
    window: String,
    /// What is to become of it
    action: Wish,
    /// For move: left edge of its frame
    #[serde(default)]
    x: i32,
    /// For move: upper edge of its frame
    #[serde(default)]
    y: i32,
    /// For resize: width of its frame
    #[serde(default)]
    width: u32,
    /// For resize: height of its frame
    #[serde(default)]
    height: u32,
}

/// Answer of `manage_window`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ManageResponse {
    /// done; gone; or otherwise, when it is not as was asked: the program may ask something first
    status: ManageStatus,
    /// How the window is now
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowEntry>,
}

/// What has become of a window.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManageStatus {
    /// As was asked
    Done,
    /// Closed
    Gone,
    /// Not as was asked, or not yet
    Otherwise,
}

/// Parameters of `get_clipboard`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetClipboardParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
}

/// Parameters of `set_clipboard`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetClipboardParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// The text, up to 8 MB
    text: String,
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![
        text::<ComputerParams>(
            "computer",
            "Use mouse and keyboard",
            "Mouse and keyboard, with actions as models know them. Keys by xdotool's names. type takes any Unicode text \
             and newlines; it goes to the window with the focus. then=changes or screenshot shows what came of it.",
            Effect::Runs,
        )?,
        data::<LaunchParams, LaunchResponse>(
            "launch_program",
            "Launch a program",
            "Starts a program on the desktop by a shell command, waits for its first window and tells it. Chromium as root \
             needs --no-sandbox and a --user-data-dir of its own.",
            Effect::Runs,
        )?,
        data::<ManageParams, ManageResponse>(
            "manage_window",
            "Manage a window",
            "Focuses, moves, resizes, maximizes, minimizes, restores or closes a window and waits until it is so. Places \
             and sizes are in pixels of the picture.",
            Effect::Changes,
        )?,
        text::<GetClipboardParams>(
            "get_clipboard",
            "Read the clipboard",
            "What was copied on the desktop: text, else a picture. After ctrl+c; long text is cut and written to a file.",
            Effect::Reads,
        )?,
        text::<SetClipboardParams>(
            "set_clipboard",
            "Fill the clipboard",
            "Puts text on the desktop's clipboard, for ctrl+v: the quickest and surest way to put in long text.",
            Effect::Changes,
        )?,
    ])
}

/// `launch_program`
///
/// # Errors
/// What is not installed, or ends at once.
pub async fn launch_program(desktop: &Desktop, params: LaunchParams) -> Result<LaunchResponse> {
    let command = params.command.trim();
    if command.is_empty() || command.len() > LONGEST_COMMAND || command.contains('\0') {
        let message = format!("a command has 1 to {LONGEST_COMMAND} bytes, none of them zero");
        return Err(Problem::invalid("command", message));
    }
    if !(0.0..=LONGEST_WAIT).contains(&params.wait_seconds) {
        let message = format!("{} is not within 0 to {LONGEST_WAIT}", params.wait_seconds);
        return Err(Problem::invalid("wait_seconds", message));
    }
    let wrong = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
    if let Some(name) = params.env.keys().find(wrong) {
        return Err(Problem::invalid("env", format!("{name:?} is not the name of a variable")));
    }
    let directory = if params.directory.is_empty() { PathBuf::from(".") } else { params.directory.into() };
    let directory = directory
        .canonicalize()
        .map_err(|error| Problem::system("enter", directory.display(), error).field("directory"))?;
    let wait = Duration::from_secs_f64(params.wait_seconds);
    let (running, launched) = start_program(desktop, command, directory, &params.env, wait).await?;
    let whole = desktop.view().whole();
    let (status, window, output) = match launched {
        Launched::Window(window) => (LaunchStatus::Window, Some(entry(window, &whole)), RUNNING_OUTPUT),
        Launched::Running => (LaunchStatus::Running, None, RUNNING_OUTPUT),
        Launched::Ended(_) => (LaunchStatus::Ended, None, ENDED_OUTPUT),
    };
    Ok(LaunchResponse { pid: running.started().pid, status, window, output: running.output(output).await })
}

/// `manage_window`
///
/// # Errors
/// No such window, or sizes that cannot be.
pub async fn manage_window(desktop: &Desktop, params: ManageParams) -> Result<ManageResponse> {
    let _acting = desktop.acting().lock().await;
    let meant = params.window.clone();
    let window = desktop.hands().run(move |hands| find_window(hands.display(), &meant)).await?;
    let whole = desktop.view().whole();
    let place = whole.rect_to_screen(Rect::new(params.x, params.y, params.width, params.height));
    if params.action == Wish::Resize && (params.width == 0 || params.height == 0) {
        return Err(Problem::invalid("width", "resize needs width and height"));
    }
    if params.action == Wish::Move && !whole.area.contains(place.x, place.y) {
        return Err(Problem::invalid("x", "that is not on the screen"));
    }
    let (status, window) = match manage(desktop, window, params.action, place).await? {
        Became::Done(window) => (ManageStatus::Done, Some(window)),
        Became::Otherwise(window) => (ManageStatus::Otherwise, Some(window)),
        Became::Gone if params.action == Wish::Close => (ManageStatus::Done, None),
        Became::Gone => (ManageStatus::Gone, None),
    };
    Ok(ManageResponse { status, window: window.map(|window| entry(window, &whole)) })
}

/// `get_clipboard`
///
/// # Errors
/// Its owner does not answer.
pub async fn get_clipboard(desktop: &Desktop) -> Result<Answer> {
    match desktop.clipboard().get().await? {
        Content::Nothing => Ok(Answer::text(String::new()).note(&["the clipboard is empty".to_owned()])),
        Content::Text(text) => match text.char_indices().nth(SHOWN) {
            None => Ok(Answer::text(text)),
            Some((at, _)) => {
                let file = desktop.directory().join("clipboard.txt");
                let failed = |error| Problem::system("write", file.display(), error);
                std::fs::write(&file, &text).map_err(failed)?;
                let note = format!(
                    "cut after {SHOWN} characters; all {} bytes are in {}",
                    text.len(),
                    file.display()
                );
                Ok(Answer::text(&text[..at]).note(&[note]))
            }
        },
        Content::Png(bytes) => {
            let picture = base64::engine::general_purpose::STANDARD.encode(&bytes);
            Ok(Answer::text("A picture:").block(ContentBlock::image(picture, "image/png")))
        }
    }
}

/// `set_clipboard`
///
/// # Errors
/// Too much text.
pub async fn set_clipboard(desktop: &Desktop, params: SetClipboardParams) -> Result<Answer> {
    desktop.clipboard().set(&params.text).await?;
    Ok(Answer::text(format!("{} bytes are on the clipboard.", params.text.len())))
}
