//! The tools that look: screenshot and list_windows.

use std::io::Write;
use std::path::PathBuf;

use base64::Engine as _;
use rmcp::model::{ContentBlock, Resource, Tool};
use sandboxed_mcp::Answer;
use sandboxed_mcp::tools::{Effect, data, text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::Change;
use super::encode::{Format, QUALITY};
use super::screenshot::{Shot, Shown, take};
use super::windows::{State, WindowView, find_window, windows};
use crate::error::{Problem, Result};
use crate::geometry::{Mapping, Rect};
use crate::session::Desktop;

/// Largest file that is shown; more is only written.
const MOST_SHOWN: usize = 4 << 20;

/// Parameters of `screenshot`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenshotParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// Only this part: [x0, y0, x1, y1]; small parts come at full resolution [whole screen]
    #[serde(default)]
    region: Vec<i32>,
    /// Only this window: its number, or a part of its title
    #[serde(default)]
    window: String,
    /// Number of the picture in whose pixels region is given [0: the whole screen's]
    #[serde(default)]
    picture: u32,
    /// With the mouse pointer [false]
    #[serde(default)]
    pointer: bool,
    /// Only what has changed since the last screenshot of the same part; no picture when nothing has [false]
    #[serde(default)]
    only_changes: bool,
    /// Kind of picture [png]
    #[serde(default)]
    format: Format,
    /// Quality of jpeg, 1 to 100 [80]
    #[serde(default)]
    quality: u8,
    /// Writes the picture at full resolution to this new file instead of showing it
    #[serde(default)]
    file: String,
}

impl ScreenshotParams {
    /// After an action: of the screen, or of what it changed.
    pub fn after(only_changes: bool) -> Self {
        Self { only_changes, ..Self::default() }
    }
}

/// Parameters of `list_windows`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowsParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
}

/// A window as tools tell of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WindowEntry {
    /// Its number
    window: String,
    title: String,
    /// Class of its program
    class: String,
    /// Process that it belongs to
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// Frame in pixels of the picture: x, y, width, height
    frame: [i64; 4],
    /// Whether keys go to it
    active: bool,
    /// maximized, minimized, fullscreen, modal, urgent
    #[serde(skip_serializing_if = "Vec::is_empty")]
    states: Vec<State>,
}

/// Answer of `list_windows`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WindowsResponse {
    /// Topmost first
    windows: Vec<WindowEntry>,
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![
        text::<ScreenshotParams>(
            "screenshot",
            "Take a screenshot",
            "Picture of the screen, a region (zoomed) or a window, with its number and size. Places are given in pixels \
             of the whole screen's picture, or of a picture by its number. Text is cheaper: list_windows first.",
            Effect::Reads,
        )?,
        data::<WindowsParams, WindowsResponse>(
            "list_windows",
            "List windows",
            "Windows of a desktop, topmost first: number, title, class, process, frame in pixels of the picture, and \
             which one is active.",
            Effect::Reads,
        )?,
    ])
}

/// `screenshot`
///
/// # Errors
/// A part that is not there, or a file that cannot be written.
pub async fn screenshot(desktop: &Desktop, params: ScreenshotParams) -> Result<Answer> {
    let quality = match params.quality {
        0 => QUALITY,
        quality if quality <= 100 => quality,
        other => return Err(Problem::invalid("quality", format!("{other} is not within 1 to 100"))),
    };
    let (area, about) = area(desktop, &params).await?;
    let longest = if params.file.is_empty() { desktop.view().longest() } else { u32::MAX };
    let shot = Shot {
        area,
        longest,
        pointer: params.pointer,
        only_changes: params.only_changes,
        format: params.format,
        quality,
    };
    let shown = desktop.eyes().run(move |eyes| take(eyes, shot)).await?;
    answer(desktop, shown, &about, &params)
}

/// The part of the screen that is meant, and its name.
async fn area(desktop: &Desktop, params: &ScreenshotParams) -> Result<(Rect, String)> {
    if !params.window.is_empty() {
        if !params.region.is_empty() {
            return Err(Problem::invalid("region", "give a window or a region, not both"));
        }
        let meant = params.window.clone();
        let window = desktop.eyes().run(move |eyes| find_window(eyes.display(), &meant)).await?;
        let about = format!("window {} {:?}", window.name(), window.title);
        if window.is_minimized() {
            return Err(Problem::invalid("window", format!("{about} is minimized"))
                .hint("bring it back with manage_window focus"));
        }
        return Ok((window.frame, about));
    }
    let about = if params.region.is_empty() { "the screen" } else { "a part of the screen" };
    Ok((region(desktop, &params.region, params.picture).await?, about.to_owned()))
}

/// The whole screen's picture, as the screen is now.
///
/// # Errors
/// `desktop_ended`.
pub async fn whole(desktop: &Desktop) -> Result<Mapping> {
    let screen = desktop.eyes().run(|eyes| eyes.screen()).await?;
    let mut view = desktop.view();
    view.resize(screen);
    Ok(view.whole())
}

/// The part of the screen that is meant by `[x0, y0, x1, y1]` in pixels of a picture, 0 for the whole screen's; all of it
/// when nothing is.
///
/// # Errors
/// `invalid_argument`, `unknown_picture`, `desktop_ended`.
pub async fn region(desktop: &Desktop, region: &[i32], picture: u32) -> Result<Rect> {
    let screen = whole(desktop).await?.area;
    match *region {
        [] => Ok(screen),
        [x0, y0, x1, y1] if x0 < x1 && y0 < y1 => {
            let mapping = desktop.view().mapping(Some(picture).filter(|number| *number > 0))?;
            let rect = Rect::new(x0, y0, x0.abs_diff(x1), y0.abs_diff(y1));
            Ok(mapping.rect_to_screen(rect))
        }
        _ => Err(Problem::invalid("region", "a region is [x0, y0, x1, y1] with x0 < x1 and y0 < y1")),
    }
}

fn answer(desktop: &Desktop, shown: Shown, about: &str, params: &ScreenshotParams) -> Result<Answer> {
    let whole = desktop.view().whole();
    let changed = changed(&shown.change, &whole);
    let Some((mapping, file)) = shown.picture else {
        return Ok(Answer::text(format!("Nothing on {about} has changed since the last screenshot.")));
    };
    let (width, height) = (mapping.width, mapping.height);
    if !params.file.is_empty() {
        let path = write(&params.file, &file)?;
        let text =
            format!("Wrote {about}, {width}x{height} pixels, {} bytes, to {}.", file.len(), path.display());
        let link = Resource::new(sandboxed_mcp::file_uri(&path), params.file.clone())
            .with_mime_type(params.format.mime_type())
            .with_size(file.len() as u64);
        return Ok(Answer::text(text).link(link));
    }
    if file.len() > MOST_SHOWN {
        let message = format!("the picture has {} bytes, more than {MOST_SHOWN}", file.len());
        return Err(Problem::new(crate::error::Code::TooLarge, message)
            .hint("take format=jpeg, a smaller region, or write it to a file"));
    }
    let picture = desktop.view().show(mapping);
    let mut text = format!("Picture {}: {about}, {width}x{height} pixels", picture.number);
    if mapping != whole {
        let place = whole.rect_to_picture(mapping.area);
        text += &format!(", shows [{}, {}, {}, {}]", place.x, place.y, place.right(), place.bottom());
        text += &format!("; for places in its own pixels give picture={}", picture.number);
    } else if !mapping.is_exact() {
        text += &format!(" of {}x{}", mapping.area.width, mapping.area.height);
    }
    text += ".";
    text += &changed;
    let data = base64::engine::general_purpose::STANDARD.encode(&file);
    Ok(Answer::text(text).block(ContentBlock::image(data, params.format.mime_type())))
}

fn changed(change: &Change, whole: &Mapping) -> String {
    match change {
        Change::Incomparable => String::new(),
        Change::None => " Nothing has changed since the last screenshot.".to_owned(),
        Change::Within(rects) => {
            let rects: Vec<_> = rects
                .iter()
                .map(|rect| whole.rect_to_picture(*rect))
                .map(|rect| format!("[{}, {}, {}, {}]", rect.x, rect.y, rect.right(), rect.bottom()))
                .collect();
            format!(" Changed since the last screenshot: {}.", rects.join(", "))
        }
    }
}

/// Whole or not at all; what is there already is left alone.
fn write(file: &str, bytes: &[u8]) -> Result<PathBuf> {
    let failed = |error: std::io::Error| {
        let absent = error.kind() == std::io::ErrorKind::NotFound;
        let problem = Problem::system("write", file, error).field("file");
        if absent { problem.hint("make its directory first, or choose another") } else { problem }
    };
    let path = std::path::absolute(file).map_err(failed)?;
    let mut made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
    made.write_all(bytes).map_err(|error| {
        let _ = std::fs::remove_file(&path);
        failed(error)
    })?;
    Ok(path)
}

/// `list_windows`
///
/// # Errors
/// `desktop_ended`.
pub async fn list_windows(desktop: &Desktop) -> Result<WindowsResponse> {
    let found = desktop.eyes().run(|eyes| windows(eyes.display())).await?;
    let whole = desktop.view().whole();
    Ok(WindowsResponse { windows: found.into_iter().map(|window| entry(window, &whole)).collect() })
}

/// A window as tools tell of it.
pub fn entry(window: WindowView, whole: &Mapping) -> WindowEntry {
    let frame = whole.rect_to_picture(window.frame);
    WindowEntry {
        window: window.name(),
        title: window.title,
        class: window.class,
        pid: window.pid,
        frame: [frame.x.into(), frame.y.into(), frame.width.into(), frame.height.into()],
        active: window.active,
        states: window.states,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_no_other_files_place_and_says_that_its_directory_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let name = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(std::fs::read(write(&name("shot.png"), b"one").unwrap()).unwrap(), b"one");
        let taken = write(&name("shot.png"), b"two").unwrap_err();
        assert_eq!(taken.code, crate::error::Code::AlreadyExists);
        assert_eq!(std::fs::read(name("shot.png")).unwrap(), b"one");
        let absent = write(&name("no/shot.png"), b"one").unwrap_err();
        assert_eq!(absent.code, crate::error::Code::NotFound);
        assert!(absent.hint.contains("directory"), "{absent:?}");
    }
}
