//! The tools that start, list, resize and end desktops.

use rmcp::model::Tool;
use sandboxed_mcp::tools::{Effect, data};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desktop::Desktop;
use super::programs::Running;
use super::sessions::Desktops;
use super::start::Wish;
use crate::error::{Problem, Result};

/// Smallest and largest side of a screen.
const SIDES: std::ops::RangeInclusive<u32> = 64..=7680;
/// Resolutions in use.
const DPIS: std::ops::RangeInclusive<u32> = 48..=384;

/// How much of a command is told, in characters.
const COMMAND: usize = 200;
/// How much of what a program wrote is told in a list, in characters.
const OUTPUT: usize = 1000;
/// Most bytes that programs take in an answer; the newest are told.
const PROGRAMS: usize = 24 << 10;

/// Parameters of `start_desktop`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartParams {
    /// Width in pixels, 64 to 7680 [1280]
    #[serde(default = "default_width")]
    width: u32,
    /// Height in pixels, 64 to 7680 [800]
    #[serde(default = "default_height")]
    height: u32,
    /// Dots per inch that programs are told, 48 to 384 [96]
    #[serde(default = "default_dpi")]
    dpi: u32,
}

const fn default_width() -> u32 {
    1280
}

const fn default_height() -> u32 {
    800
}

const fn default_dpi() -> u32 {
    96
}

/// Parameters of `resize_desktop`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    desktop: String,
    /// Width in pixels
    width: u32,
    /// Height in pixels
    height: u32,
}

/// Parameters of `stop_desktop`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopParams {
    /// Id of the desktop
    desktop: String,
}

/// Parameters of `list_desktops`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {}

/// A desktop as tools tell of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DesktopView {
    /// Its id
    desktop: String,
    /// X display
    display: String,
    /// Width of the screen in pixels
    width: u32,
    /// Height of the screen in pixels
    height: u32,
    /// Width of its pictures; places are given in their pixels
    picture_width: u32,
    /// Height of its pictures
    picture_height: u32,
    /// Dots per inch
    dpi: u32,
    /// Whether it runs; one that does not can only be stopped
    running: bool,
    /// Programs that were started in it last
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<ProgramView>,
    /// What is missing in it
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A program as tools tell of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProgramView {
    /// Its process
    pid: i32,
    /// The beginning of its command
    command: String,
    /// How it ended, once it has
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// The end of what it wrote, once it has ended
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
}

/// Answer of `list_desktops`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListResponse {
    /// All of this server, oldest first
    desktops: Vec<DesktopView>,
}

/// Answer of `stop_desktop`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StopResponse {
    /// Id of the desktop that is gone
    stopped: String,
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![
        data::<StartParams, DesktopView>(
            "start_desktop",
            "Start a desktop",
            "Starts an empty desktop of its own (X server, window manager, accessibility) and returns its id when it is \
             ready. Nobody else sees it. Other tools use the newest unless desktop is given. Then use launch_program.",
            Effect::Changes,
        )?,
        data::<ListParams, ListResponse>(
            "list_desktops",
            "List desktops",
            "Desktops that this server started, with size of screen and of pictures. Places in all tools are in pixels \
             of the picture.",
            Effect::Reads,
        )?,
        data::<ResizeParams, DesktopView>(
            "resize_desktop",
            "Resize a desktop",
            "Gives a running desktop another screen size; its programs see the change at once. Up to 2560x1600, or the \
             size it was started with.",
            Effect::Changes,
        )?,
        data::<StopParams, StopResponse>(
            "stop_desktop",
            "Stop a desktop",
            "Ends a desktop with all programs in it; unsaved work in them is lost. Desktops also end with this server.",
            Effect::Changes,
        )?,
    ])
}

/// A desktop, with the newest of its programs that `room` has bytes for.
async fn view(desktop: &Desktop, room: &mut usize) -> DesktopView {
    let mut programs = Vec::new();
    for running in desktop.programs().iter().rev() {
        let view = program(running).await;
        let bytes = serde_json::to_vec(&view).map_or(usize::MAX, |json| json.len());
        let Some(left) = room.checked_sub(bytes) else { break };
        *room = left;
        programs.push(view);
    }
    programs.reverse();
    let whole = desktop.view().whole();
    DesktopView {
        desktop: desktop.id().to_owned(),
        display: desktop.access().name(),
        width: whole.area.width,
        height: whole.area.height,
        picture_width: whole.width,
        picture_height: whole.height,
        dpi: desktop.dpi(),
        running: !desktop.ended().is_cancelled(),
        programs,
        notes: desktop.notes().to_vec(),
    }
}

async fn program(running: &Running) -> ProgramView {
    let ended = running.exit().map(|exit| exit.to_string());
    let output = if ended.is_some() { running.output(OUTPUT).await } else { String::new() };
    let command = running.command().chars().take(COMMAND).collect();
    ProgramView { pid: running.started().pid, command, ended, output }
}

fn side(field: &str, value: u32) -> Result<u16> {
    u16::try_from(value).ok().filter(|_| SIDES.contains(&value)).ok_or_else(|| {
        Problem::invalid(field, format!("{value} is not within {} to {}", SIDES.start(), SIDES.end()))
    })
}

/// `start_desktop`
///
/// # Errors
/// What cannot be, or is not installed.
pub async fn start_desktop(desktops: &Desktops, params: StartParams) -> Result<DesktopView> {
    let (width, height) = (side("width", params.width)?, side("height", params.height)?);
    if !DPIS.contains(&params.dpi) {
        let message = format!("{} is not within {} to {}", params.dpi, DPIS.start(), DPIS.end());
        return Err(Problem::invalid("dpi", message));
    }
    let desktop = desktops.start(Wish { width, height, dpi: params.dpi }).await?;
    let mut room = PROGRAMS;
    Ok(view(&desktop, &mut room).await)
}

/// `list_desktops`
pub async fn list_desktops(desktops: &Desktops) -> ListResponse {
    let (mut views, mut room) = (Vec::new(), PROGRAMS);
    for desktop in desktops.all().iter().rev() {
        views.push(view(desktop, &mut room).await);
    }
    views.reverse();
    ListResponse { desktops: views }
}

/// `resize_desktop`
///
/// # Errors
/// No such desktop, or a size that cannot be.
pub async fn resize_desktop(desktops: &Desktops, params: ResizeParams) -> Result<DesktopView> {
    let (width, height) = (side("width", params.width)?, side("height", params.height)?);
    let desktop = desktops.named(&params.desktop)?;
    desktop.resize(width, height).await?;
    let mut room = PROGRAMS;
    Ok(view(&desktop, &mut room).await)
}

/// `stop_desktop`
///
/// # Errors
/// No such desktop.
pub async fn stop_desktop(desktops: &Desktops, params: StopParams) -> Result<StopResponse> {
    desktops.stop(&params.desktop).await?;
    Ok(StopResponse { stopped: params.desktop })
}
