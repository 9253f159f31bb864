//! Text as keys. Characters that the keyboard has are typed at once. For others spare keys are given them; programs
//! notice such a change by an event in the same queue as the keys, so before keys are changed again, and before the new
//! ones are pressed, the program is asked whether it has come that far.

use std::time::Duration;

use tokio::time::Instant;

use super::asked::Asked;
use super::hands::Hands;
use super::keymap::{Keymap, Stroke};
use super::names::keysym_of;
use super::plan::Batch;
use crate::error::{Code, Problem, Result};
use crate::session::Desktop;

/// Most characters of one text.
pub const MOST: usize = 100_000;
/// How many characters are typed before it is looked whether the call was taken back.
const AT_ONCE: usize = 400;
/// After the answer: toolkits take over a changed keyboard when they are idle, or have a second connection for it. Four
/// times as long as the answer took comes on top, because a busy machine is slow in all of this.
pub const NOTICED: Duration = Duration::from_millis(120);

/// What is known afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed {
    /// Characters.
    pub count: usize,
    /// Whether the program said that it has taken all keys in. Some cannot be asked.
    pub confirmed: Option<bool>,
    /// Whether the same window had the focus before and after.
    pub same_focus: bool,
}

/// Types a text into the window that has the focus.
///
/// # Errors
/// `text_not_typed`: no window has the focus, or a character has no key; nothing is typed then.
pub async fn type_text(desktop: &Desktop, text: &str) -> Result<Typed> {
    let text = characters(text)?;
    let count = text.len();
    let (focus, work) =
        desktop.hands().run(move |hands| Ok((hands.focus()?, Work::plan(hands, text)?))).await?;
    let caps = work.keymap.caps_locked();
    let asked = Asked::of(desktop, focus).await?;
    let mut work = Some(work);
    while let Some(mut next) = work.take() {
        if next.must_assign() {
            // Keys that are given something else may still be on their way.
            asked.has_caught_up(desktop).await?;
            next = desktop.hands().run(move |hands| next.assign(hands)).await?;
            has_noticed(asked, desktop).await?;
        }
        work = desktop.hands().run(move |hands| next.go_on(hands, caps)).await?;
    }
    let confirmed = asked.has_caught_up(desktop).await?;
    let same_focus = desktop.hands().run(|hands| Ok(hands.focus().ok())).await? == Some(focus);
    Ok(Typed { count, confirmed, same_focus })
}

/// Line ends as one key; no other control characters.
fn characters(text: &str) -> Result<Vec<char>> {
    let text: Vec<char> = text.replace("\r\n", "\n").replace('\r', "\n").chars().collect();
    if text.is_empty() {
        return Err(Problem::invalid("text", "there is no text to type"));
    }
    if text.len() > MOST {
        let message = format!("the text has {} characters, more than {MOST}", text.len());
        return Err(Problem::new(Code::TooLarge, message).field("text").hint("use set_clipboard and ctrl+v"));
    }
    match text.iter().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(control) => {
            Err(Problem::invalid("text", format!("{control:?} is no character that can be typed"))
                .hint("use action=key for keys"))
        }
        None => Ok(text),
    }
}

/// What is left to type.
struct Work {
    keymap: Keymap,
    text: Vec<char>,
    /// How much of the text is done.
    done: usize,
    batches: std::collections::VecDeque<Batch>,
}

impl Work {
    fn plan(hands: &mut Hands, text: Vec<char>) -> Result<Self> {
        let keymap = hands.keymap()?;
        let spare = hands.spare.clone();
        let typed = |c: char| stroke(&keymap, c).is_some_and(|stroke| !spare.has(stroke.code));
        let batches = hands.spare.batches(&text, typed);
        let planned: usize = batches.iter().map(|batch| batch.length).sum();
        match text.get(planned) {
            Some(character) => {
                let message = format!("{character:?} is not on the keyboard, which has no spare key for it");
                Err(Problem::new(Code::TextNotTyped, message).field("text"))
            }
            None => Ok(Self { keymap, text, done: 0, batches: batches.into() }),
        }
    }

    fn must_assign(&self) -> bool {
        self.batches.front().is_some_and(|batch| !batch.assign.is_empty())
    }

    fn assign(mut self, hands: &mut Hands) -> Result<Self> {
        if let Some(batch) = self.batches.front_mut() {
            hands.assign(&std::mem::take(&mut batch.assign))?;
            self.keymap = Keymap::read(hands.display())?;
        }
        Ok(self)
    }

    /// Types a part; what is left.
    fn go_on(mut self, hands: &mut Hands, caps: bool) -> Result<Option<Self>> {
        let Some(batch) = self.batches.front_mut() else { return Ok(None) };
        let length = batch.length.min(AT_ONCE);
        batch.length -= length;
        if batch.length == 0 {
            self.batches.pop_front();
        }
        let part = &self.text[self.done..self.done + length];
        let strokes: Option<Vec<Stroke>> = part.iter().map(|c| stroke(&self.keymap, *c)).collect();
        let strokes = strokes.ok_or_else(|| {
            Problem::new(Code::TextNotTyped, "somebody else changed the keyboard while text was typed")
        })?;
        if caps {
            hands.lock_caps(false)?;
        }
        let typed = hands.strokes(&self.keymap, strokes.into_iter());
        if caps {
            hands.lock_caps(true)?;
        }
        typed?;
        self.done += length;
        Ok(Some(self).filter(|work| !work.batches.is_empty()))
    }
}

fn stroke(keymap: &Keymap, character: char) -> Option<Stroke> {
    match character {
        '\n' | '\t' => keymap.symbol(keysym_of(character)),
        other => keymap.character(other),
    }
}

/// Waits until the program has noticed a changed keyboard.
async fn has_noticed(asked: Asked, desktop: &Desktop) -> Result<()> {
    let begun = Instant::now();
    if asked.has_caught_up(desktop).await?.is_some() {
        tokio::time::sleep(NOTICED + 4 * begun.elapsed()).await;
    }
    Ok(())
}
