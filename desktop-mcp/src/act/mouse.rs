//! What is done with the mouse and with single keys, for as long as it takes.

use std::time::Duration;

use tokio::time::Instant;

use super::hands::Hands;
use super::keymap::{Keymap, Stroke};
use super::manager::has_caught_up;
use super::names::Chord;
use crate::error::{Code, Problem, Result};
use crate::session::Desktop;
use crate::x::Owner;

/// How long a window manager has to let go of the pointer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Left, middle, right, back and forward; scrolling is buttons too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Button {
    /// The usual one
    #[default]
    Left,
    /// The wheel
    Middle,
    /// For menus
    Right,
    /// One page back
    Back,
    /// One page forward
    Forward,
}

impl Button {
    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::Middle => 2,
            Self::Right => 3,
            Self::Back => 8,
            Self::Forward => 9,
        }
    }
}

/// Where to scroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the beginning
    Up,
    /// Towards the end
    Down,
    /// To the left
    Left,
    /// To the right
    Right,
}

impl Direction {
    fn button(self) -> u8 {
        match self {
            Self::Up => 4,
            Self::Down => 5,
            Self::Left => 6,
            Self::Right => 7,
        }
    }
}

/// Does something while keys are held.
fn holding<T>(hands: &mut Hands, held: &[u32], act: impl FnOnce(&mut Hands) -> Result<T>) -> Result<T> {
    let keymap = hands.keymap()?;
    let codes: Vec<u8> = held.iter().map(|symbol| code_of(&keymap, *symbol)).collect::<Result<_>>()?;
    for code in &codes {
        hands.key(*code, true)?;
    }
    let done = act(hands);
    for code in codes.iter().rev() {
        hands.key(*code, false)?;
    }
    hands.display().sync()?;
    done
}

fn code_of(keymap: &Keymap, symbol: u32) -> Result<u8> {
    let code = keymap.symbol(symbol).map(|stroke| stroke.code).or_else(|| keymap.key_of(symbol));
    code.ok_or_else(|| {
        let name = xkeysym::Keysym::new(symbol).name().unwrap_or("of this name").trim_start_matches("XK_");
        Problem::new(Code::UnknownKey, format!("the keyboard has no key {name}")).field("text")
    })
}

/// Clicks, at a place or where the pointer is.
///
/// # Errors
/// `desktop_ended`, `unknown_key`.
pub fn click(
    hands: &mut Hands,
    at: Option<(i32, i32)>,
    button: Button,
    times: u32,
    held: &[u32],
) -> Result<()> {
    if let Some(at) = at {
        hands.move_to(at)?;
    }
    if held.is_empty() {
        hands.click(button.number(), times)?;
        return hands.display().sync();
    }
    holding(hands, held, |hands| hands.click(button.number(), times))
}

/// Scrolls, at a place or where the pointer is.
///
/// # Errors
/// `desktop_ended`, `unknown_key`.
pub fn scroll(
    hands: &mut Hands,
    at: Option<(i32, i32)>,
    direction: Direction,
    amount: u32,
    held: &[u32],
) -> Result<()> {
    if let Some(at) = at {
        hands.move_to(at)?;
    }
    if held.is_empty() {
        hands.click(direction.button(), amount)?;
        return hands.display().sync();
    }
    holding(hands, held, |hands| hands.click(direction.button(), amount))
}

/// Presses chords one after the other.
///
/// # Errors
/// `unknown_key`: the keyboard has no such key, and no spare one; nothing is pressed then.
pub fn press(hands: &mut Hands, chords: &[Chord]) -> Result<()> {
    let (keymap, chords) = strokes_of(hands, chords)?;
    for chord in chords {
        let Some((last, held)) = chord.split_last() else { continue };
        for stroke in held {
            hands.key(stroke.code, true)?;
        }
        hands.strokes(&keymap, [*last].into_iter())?;
        for stroke in held.iter().rev() {
            hands.key(stroke.code, false)?;
        }
    }
    hands.display().sync()
}

/// The strokes of chords. With other keys held, a letter is its key whatever the group in use.
fn strokes_of(hands: &mut Hands, chords: &[Chord]) -> Result<(Keymap, Vec<Vec<Stroke>>)> {
    let keymap = hands.keymap()?;
    let stroke = |symbol: u32| {
        let found = keymap.symbol(symbol);
        match found {
            Some(stroke) => Ok(stroke),
            None => code_of(&keymap, symbol).map(|code| Stroke { code, modifiers: 0 }),
        }
    };
    let strokes = chords.iter().map(|chord| chord.iter().map(|symbol| stroke(*symbol)).collect());
    let strokes = strokes.collect::<Result<_>>()?;
    Ok((keymap, strokes))
}

/// What is held is let go, also when nobody waits any more.
pub(super) struct Held {
    hands: Owner<Hands>,
    keys: Vec<u8>,
    button: Option<u8>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (keys, button) = (std::mem::take(&mut self.keys), self.button);
        self.hands.send(move |hands| {
            for code in keys.iter().rev() {
                let _ = hands.key(*code, false);
            }
            if let Some(button) = button {
                let _ = hands.button(button, false);
            }
            let _ = hands.display().sync();
        });
    }
}

impl Held {
    /// Presses keys, and a button at a place. They are known to be let go before they are pressed.
    pub(super) async fn press(
        hands: &Owner<Hands>,
        chord: Chord,
        button: Option<(u8, (i32, i32))>,
    ) -> Result<Self> {
        let keys = hands
            .run(move |hands| {
                let keymap = hands.keymap()?;
                chord.iter().map(|symbol| code_of(&keymap, *symbol)).collect::<Result<Vec<u8>>>()
            })
            .await?;
        let held =
            Self { hands: hands.clone(), keys: keys.clone(), button: button.map(|(number, _)| number) };
        hands
            .run(move |hands| {
                if let Some((_, at)) = button {
                    hands.move_to(at)?;
                }
                keys.iter().try_for_each(|code| hands.key(*code, true))?;
                if let Some((number, _)) = button {
                    hands.button(number, true)?;
                }
                hands.display().sync()
            })
            .await?;
        Ok(held)
    }

    /// Lets go.
    pub(super) async fn release(self) -> Result<()> {
        let hands = self.hands.clone();
        drop(self);
        hands.run(|hands| hands.display().sync()).await
    }
}

/// Where the pointer is. A window manager that looks first at a click holds back also what came after it, and the X server
/// tells of the place before: when that is not where the pointer was sent, the manager is waited for.
///
/// # Errors
/// `desktop_ended`.
pub async fn pointer(desktop: &Desktop) -> Result<(i32, i32)> {
    let (at, sent) = desktop.hands().run(|hands| Ok((hands.pointer()?, hands.sent()))).await?;
    if sent.is_none_or(|sent| sent == at) {
        return Ok(at);
    }
    has_caught_up(desktop, Instant::now() + PATIENCE).await?;
    desktop.hands().run(|hands| hands.pointer()).await
}

/// Holds keys for a time.
///
/// # Errors
/// `unknown_key`, `desktop_ended`.
pub async fn hold(desktop: &Desktop, chord: Chord, time: Duration) -> Result<()> {
    let held = Held::press(desktop.hands(), chord, None).await?;
    tokio::time::sleep(time).await;
    held.release().await
}
