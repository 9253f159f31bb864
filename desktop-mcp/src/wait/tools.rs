//! The tool that waits: wait_for.

use std::time::Duration;

use rmcp::model::Tool;
use sandboxed_mcp::Answer;
use sandboxed_mcp::tools::{Effect, text};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Thing, change, still, thing};
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::see::{region, whole};
use crate::session::Desktop;

/// Longest wait.
const LONGEST: u64 = 600;
/// Longest quiet time.
const LONGEST_QUIET: u64 = 60_000;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Nothing was painted for quiet_ms
    Still,
    /// It looks different than now
    Change,
    /// A window whose title or class has text
    Window,
    /// An element with text, and of role if given
    Element,
    /// Text in any element or title
    Text,
    /// Text in the picture, read by OCR
    TextInPicture,
}

/// Parameters of `wait_for`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// still: nothing is painted any more; change: it looks different than now; window, element, text: it is there; text_in_picture: the same by OCR, where programs tell nothing
    until: Until,
    /// Words of the window, element or text; case does not matter
    #[serde(default)]
    text: String,
    /// For element: its role, as snapshot names it: button, dialog [any]
    #[serde(default)]
    role: String,
    /// Until it is not there any more [false]
    #[serde(default)]
    gone: bool,
    /// For still, change and text_in_picture: only in this part, [x0, y0, x1, y1] in pixels of the picture [whole screen]
    #[serde(default)]
    region: Vec<i32>,
    /// For still: for how long, up to 60000 [500]
    #[serde(default = "default_quiet")]
    quiet_ms: u64,
    /// Longest wait, up to 600 [30]
    #[serde(default = "default_timeout")]
    timeout_seconds: u64,
}

const fn default_quiet() -> u64 {
    500
}

const fn default_timeout() -> u64 {
    30
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![text::<WaitParams>(
        "wait_for",
        "Wait for something",
        "Waits until the screen is still or changes, or a window, element or text is there or gone; returns at once when \
         it is so already. A time-out is no error: it says what there is instead. Use it after actions; never sleep or \
         take screenshots in a loop.",
        Effect::Reads,
    )?])
}

/// `wait_for`
///
/// # Errors
/// Arguments that do not fit together; `desktop_ended`.
pub async fn wait_for(desktop: &Desktop, params: WaitParams) -> Result<Answer> {
    if !(1..=LONGEST).contains(&params.timeout_seconds) {
        let message = format!("{} is not within 1 to {LONGEST}", params.timeout_seconds);
        return Err(Problem::invalid("timeout_seconds", message));
    }
    let start = Instant::now();
    let longest = Duration::from_secs(params.timeout_seconds);
    let mut last = None;
    let waited = tokio::select! {
        waited = tokio::time::timeout(longest, wait(desktop, &params, &mut last)) => waited,
        () = desktop.ended().cancelled() => Ok(Err(Problem::new(Code::DesktopEnded, "the desktop has ended"))),
    };
    let seconds = start.elapsed().as_secs_f64();
    Ok(Answer::text(match waited {
        Ok(answer) => format!("{} ({seconds:.1} s)", answer?),
        Err(_) => format!("timeout after {seconds:.0} s: {}", instead(desktop, &params, last)),
    }))
}

async fn wait(desktop: &Desktop, params: &WaitParams, last: &mut Option<Rect>) -> Result<String> {
    let words = || match params.text.trim() {
        "" => Err(Problem::invalid("text", "say of which words")),
        words => Ok(words.to_owned()),
    };
    let told = matches!(params.until, Until::Window | Until::Element | Until::Text);
    if told && !params.region.is_empty() {
        return Err(Problem::invalid("region", "only still, change and text_in_picture have a region"));
    }
    let wanted = match params.until {
        Until::Still | Until::Change => return screen(desktop, params, last).await,
        Until::Window => Thing::Window(words()?),
        Until::Text => Thing::Text(words()?),
        Until::TextInPicture => Thing::Picture(words()?, part(desktop, &params.region).await?),
        Until::Element if params.text.trim().is_empty() && params.role.trim().is_empty() => {
            return Err(Problem::invalid("text", "say which words or which role"));
        }
        Until::Element => Thing::Element { role: params.role.clone(), words: params.text.clone() },
    };
    let found = thing(desktop, &wanted, params.gone).await?;
    Ok(found.map_or_else(|| "gone".to_owned(), |found| format!("there: {found}")))
}

/// The part of the screen that is meant. All of it may have another size by then.
async fn part(desktop: &Desktop, given: &[i32]) -> Result<Rect> {
    let area = region(desktop, given, 0).await?;
    Ok(if given.is_empty() { Rect::EVERYWHERE } else { area })
}

async fn screen(desktop: &Desktop, params: &WaitParams, last: &mut Option<Rect>) -> Result<String> {
    if params.gone {
        return Err(Problem::invalid("gone", "only a window, element or text can be gone"));
    }
    let area = part(desktop, &params.region).await?;
    if params.until == Until::Change {
        let places = change(desktop, area).await?;
        let whole = whole(desktop).await?;
        let places: Vec<_> = places.iter().map(|place| bounds(whole.rect_to_picture(*place))).collect();
        return Ok(format!("changed: {}", places.join(", ")));
    }
    if !(1..=LONGEST_QUIET).contains(&params.quiet_ms) {
        let message = format!("{} is not within 1 to {LONGEST_QUIET}", params.quiet_ms);
        return Err(Problem::invalid("quiet_ms", message));
    }
    still(desktop, area, Duration::from_millis(params.quiet_ms), last).await?;
    Ok(format!("still for {} ms", params.quiet_ms))
}

fn bounds(rect: Rect) -> String {
    format!("[{}, {}, {}, {}]", rect.x, rect.y, rect.right(), rect.bottom())
}

fn instead(desktop: &Desktop, params: &WaitParams, last: Option<Rect>) -> String {
    let whole = desktop.view().whole();
    match (params.until, last) {
        (Until::Still, Some(last)) => {
            let last = last.common(&whole.area).unwrap_or(last);
            let place = bounds(whole.rect_to_picture(last));
            format!(
                "the screen goes on changing, last at {place}; a smaller quiet_ms or another region may do"
            )
        }
        (Until::Still, None) => "quiet_ms is longer than that".to_owned(),
        (Until::Change, _) => "nothing has changed".to_owned(),
        _ if params.gone => "it is still there".to_owned(),
        _ => "it is not there; look with snapshot or screenshot".to_owned(),
    }
}
