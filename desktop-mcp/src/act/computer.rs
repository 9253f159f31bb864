//! The tool `computer`: mouse and keys by the names of actions that models know.

use std::time::Duration;

use sandboxed_mcp::Answer;
use schemars::JsonSchema;
use serde::Deserialize;

use super::drag::{Dropped, drag};
use super::mouse::{Button, Direction, click, hold, pointer, press, scroll};
use super::names::{Chord, chords};
use super::settle::settle;
use super::typing::{Typed, type_text};
use crate::error::{Code, Problem, Result};
use crate::see::{ScreenshotParams, screenshot, still};
use crate::session::Desktop;

/// Longest time that keys are held, in seconds.
const LONGEST_HOLD: f64 = 60.0;
/// Most steps of the wheel at once.
const MOST_SCROLL: u32 = 100;
/// A screen that nothing was painted on for so long shows what an action did.
const QUIET: Duration = Duration::from_millis(120);
/// What never rests is shown as it is then.
const LIMIT: Duration = Duration::from_millis(1500);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    LeftClick,
    RightClick,
    MiddleClick,
    BackClick,
    ForwardClick,
    DoubleClick,
    TripleClick,
    LeftClickDrag,
    MouseMove,
    LeftMouseDown,
    LeftMouseUp,
    Scroll,
    Key,
    HoldKey,
    Type,
    CursorPosition,
}

/// What is shown afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum After {
    #[default]
    Nothing,
    Changes,
    Screenshot,
}

/// Parameters of `computer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComputerParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// What to do
    action: Action,
    /// Where, [x, y] in pixels of the picture [where the pointer is]
    #[serde(default)]
    coordinate: Vec<i32>,
    /// Where a drag begins, [x, y] [where the pointer is]
    #[serde(default)]
    start_coordinate: Vec<i32>,
    /// type: the text, \n for Return. key, hold_key: keys as in ctrl+shift+t, several with spaces between. Clicks, drag and
    /// scroll: keys held meanwhile
    #[serde(default)]
    text: String,
    /// Which button left_click_drag, left_mouse_down and left_mouse_up use [left]
    #[serde(default)]
    button: Button,
    /// Where scroll goes [down]
    #[serde(default = "down")]
    scroll_direction: Direction,
    /// Steps of the wheel, 1 to 100 [3]
    #[serde(default = "three")]
    scroll_amount: u32,
    /// Seconds of hold_key, up to 60 [1]
    #[serde(default = "one")]
    duration: f64,
    /// Number of the picture in whose pixels places are given [0: the whole screen's]
    #[serde(default)]
    picture: u32,
    /// What to show when the screen has come to rest: nothing, the changed part, or the screen [nothing]
    #[serde(default)]
    then: After,
}

const fn down() -> Direction {
    Direction::Down
}

const fn three() -> u32 {
    3
}

const fn one() -> f64 {
    1.0
}

impl ComputerParams {
    /// A place on the screen, if one is given.
    fn place(&self, desktop: &Desktop, field: &str, place: &[i32]) -> Result<Option<(i32, i32)>> {
        match place {
            [] => Ok(None),
            &[x, y] => {
                let picture = Some(self.picture).filter(|number| *number > 0);
                desktop.view().place(field, (x, y), picture).map(Some)
            }
            _ => Err(Problem::invalid(field, "a place is [x, y]")),
        }
    }

    fn at(&self, desktop: &Desktop) -> Result<Option<(i32, i32)>> {
        self.place(desktop, "coordinate", &self.coordinate)
    }

    /// Keys held during an action of the mouse.
    fn held(&self) -> Result<Chord> {
        if self.text.is_empty() { Ok(Chord::new()) } else { Ok(self.chord()?) }
    }

    /// Exactly one chord.
    fn chord(&self) -> Result<Chord> {
        let mut all = chords("text", &self.text)?;
        match (all.pop(), all.is_empty()) {
            (Some(chord), true) => Ok(chord),
            _ => Err(Problem::invalid("text", "give keys that are held together: ctrl+shift")),
        }
    }

    fn needed(&self, desktop: &Desktop) -> Result<(i32, i32)> {
        let missing = || Problem::invalid("coordinate", "this action needs a coordinate [x, y]");
        self.at(desktop)?.ok_or_else(missing)
    }
}

/// `computer`
///
/// # Errors
/// A place off the screen, an unknown key, text that no window takes.
pub async fn computer(desktop: &Desktop, params: ComputerParams) -> Result<Answer> {
    let _acting = desktop.acting().lock().await;
    let mut happened = desktop.happenings().listen();
    let before = match params.then {
        // So that only what this action changed is told.
        After::Changes => {
            let screen = desktop.eyes().run(|eyes| eyes.screen()).await?;
            desktop.eyes().run(move |eyes| eyes.remember(screen)).await?;
            true
        }
        _ => false,
    };
    let done = act(desktop, &params).await?;
    if params.then == After::Nothing {
        return Ok(Answer::text(done));
    }
    let rests = still(&mut happened, QUIET, LIMIT).await;
    let shot = ScreenshotParams::after(before);
    let shown = screenshot(desktop, shot).await?;
    let note = if rests { String::new() } else { " The screen has not come to rest yet.".to_owned() };
    Ok(shown.before(format!("{done}{note}")))
}

async fn act(desktop: &Desktop, params: &ComputerParams) -> Result<String> {
    match params.action {
        Action::LeftClick => clicked(desktop, params, Button::Left, 1).await,
        Action::RightClick => clicked(desktop, params, Button::Right, 1).await,
        Action::MiddleClick => clicked(desktop, params, Button::Middle, 1).await,
        Action::BackClick => clicked(desktop, params, Button::Back, 1).await,
        Action::ForwardClick => clicked(desktop, params, Button::Forward, 1).await,
        Action::DoubleClick => clicked(desktop, params, Button::Left, 2).await,
        Action::TripleClick => clicked(desktop, params, Button::Left, 3).await,
        Action::LeftClickDrag => dragged(desktop, params).await,
        Action::MouseMove => {
            let at = params.needed(desktop)?;
            moved(desktop, at).await
        }
        Action::LeftMouseDown => button(desktop, params, true).await,
        Action::LeftMouseUp => button(desktop, params, false).await,
        Action::Scroll => scrolled(desktop, params).await,
        Action::Key => {
            let keys = chords("text", &params.text)?;
            settle(desktop).await?;
            desktop.hands().run(move |hands| press(hands, &keys)).await?;
            Ok(format!("Pressed {}.", params.text.trim()))
        }
        Action::HoldKey => held(desktop, params).await,
        Action::Type => {
            settle(desktop).await?;
            typed(type_text(desktop, &params.text).await?)
        }
        Action::CursorPosition => position(desktop, None).await,
    }
}

async fn moved(desktop: &Desktop, at: (i32, i32)) -> Result<String> {
    desktop
        .hands()
        .run(move |hands| {
            hands.move_to(at)?;
            hands.display().sync()
        })
        .await?;
    position(desktop, Some(at)).await
}

async fn clicked(desktop: &Desktop, params: &ComputerParams, button: Button, times: u32) -> Result<String> {
    let (at, held) = (params.at(desktop)?, params.held()?);
    desktop.hands().run(move |hands| click(hands, at, button, times, &held)).await?;
    position(desktop, at).await.map(|at| format!("Clicked. {at}"))
}

async fn dragged(desktop: &Desktop, params: &ComputerParams) -> Result<String> {
    let (to, held) = (params.needed(desktop)?, params.held()?);
    let from = match params.place(desktop, "start_coordinate", &params.start_coordinate)? {
        Some(from) => from,
        None => pointer(desktop).await?,
    };
    let dropped = match drag(desktop, from, to, params.button, held).await? {
        Dropped::Untold => "",
        Dropped::Taken => " The program there has taken it.",
        Dropped::Refused => " The program there has not taken it.",
    };
    position(desktop, Some(to)).await.map(|at| format!("Dragged.{dropped} {at}"))
}

async fn button(desktop: &Desktop, params: &ComputerParams, down: bool) -> Result<String> {
    let (at, number) = (params.at(desktop)?, params.button.number());
    desktop
        .hands()
        .run(move |hands| {
            if let Some(at) = at {
                hands.move_to(at)?;
            }
            hands.button(number, down)?;
            hands.display().sync()
        })
        .await?;
    position(desktop, at).await
}

async fn scrolled(desktop: &Desktop, params: &ComputerParams) -> Result<String> {
    let (at, held) = (params.at(desktop)?, params.held()?);
    let (direction, amount) = (params.scroll_direction, params.scroll_amount);
    if !(1..=MOST_SCROLL).contains(&amount) {
        let message = format!("{amount} is not within 1 to {MOST_SCROLL}");
        return Err(Problem::invalid("scroll_amount", message));
    }
    desktop.hands().run(move |hands| scroll(hands, at, direction, amount, &held)).await?;
    position(desktop, at).await.map(|at| format!("Scrolled. {at}"))
}

async fn held(desktop: &Desktop, params: &ComputerParams) -> Result<String> {
    let chord = params.chord()?;
    if !(0.0..=LONGEST_HOLD).contains(&params.duration) {
        let message = format!("{} is not within 0 to {LONGEST_HOLD} seconds", params.duration);
        return Err(Problem::invalid("duration", message));
    }
    settle(desktop).await?;
    hold(desktop, chord, Duration::from_secs_f64(params.duration)).await?;
    Ok(format!("Held {} for {} s.", params.text.trim(), params.duration))
}

fn typed(typed: Typed) -> Result<String> {
    let count = typed.count;
    if typed.confirmed == Some(false) {
        let message = format!(
            "all {count} characters were sent, but the program has not taken them in: it may hang, or be busy"
        );
        return Err(Problem::new(Code::TimedOut, message));
    }
    let mut text = format!("Typed {count} characters.");
    if !typed.same_focus {
        text += " The focus moved meanwhile: look whether all of it went where it should.";
    }
    Ok(text)
}

/// Where the pointer is, and what is held down. `sent` is where this action has put it.
async fn position(desktop: &Desktop, sent: Option<(i32, i32)>) -> Result<String> {
    let at = pointer(desktop).await?;
    let buttons = desktop.hands().run(|hands| Ok(hands.buttons().collect::<Vec<_>>())).await?;
    let (x, y) = desktop.view().whole().to_picture(at.0, at.1);
    let mut text = format!("The pointer is at ({x}, {y})");
    if sent.is_some_and(|sent| sent != at) {
        text += ", not where it was put: a program holds it or has moved it";
    }
    if !buttons.is_empty() {
        text += &format!(", buttons {buttons:?} are down");
    }
    Ok(text + ".")
}
