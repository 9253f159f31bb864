//! Text as keys. Characters that the keyboard has are typed at once. For others spare keys are given them; programs
//! notice such a change by an event in the same queue as the keys, so before keys are changed again, and before the new
//! ones are pressed, the program is asked whether it has come that far.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt as _, EventMask, Window};

use super::hands::Hands;
use super::keymap::{Keymap, Stroke};
use super::names::keysym_of;
use super::plan::Batch;
use crate::error::{Code, Problem, Result, x_failed};
use crate::session::Desktop;
use crate::x::Happened;

/// Most characters of one text.
pub const MOST: usize = 100_000;
/// How many characters are typed before it is looked whether the call was taken back.
const AT_ONCE: usize = 400;
/// How long a program has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// What programs that cannot be asked are given to notice a changed keyboard.
const UNASKED: Duration = Duration::from_millis(80);
/// After the answer: toolkits take over a changed keyboard when they are idle, or have a second connection for it. Four
/// times as long as the answer took comes on top, because a busy machine is slow in all of this.
const NOTICED: Duration = Duration::from_millis(120);

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
    let asked = Asked::window(desktop, focus).await?;
    let mut work = Some(work);
    while let Some(mut next) = work.take() {
        if next.must_assign() {
            // Keys that are given something else may still be on their way.
            asked.has_caught_up(desktop).await?;
            next = desktop.hands().run(move |hands| next.assign(hands)).await?;
            asked.has_noticed(desktop).await?;
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

/// A program that may be asked whether it is there.
struct Asked {
    /// Its window, if it answers at all.
    window: Option<Window>,
}

impl Asked {
    /// The program whose window has the focus, or is around what has it.
    async fn window(desktop: &Desktop, focus: Window) -> Result<Self> {
        let window = desktop.hands().run(move |hands| asked_window(hands, focus)).await?;
        Ok(Self { window })
    }

    /// Whether it has taken in all that happened so far; none when it cannot be asked.
    async fn has_caught_up(&self, desktop: &Desktop) -> Result<Option<bool>> {
        let Some(window) = self.window else {
            tokio::time::sleep(UNASKED).await;
            return Ok(None);
        };
        ping(desktop, window).await.map(Some)
    }

    /// The same after a changed keyboard.
    async fn has_noticed(&self, desktop: &Desktop) -> Result<()> {
        let asked = Instant::now();
        if self.has_caught_up(desktop).await?.is_some() {
            tokio::time::sleep(NOTICED + 4 * asked.elapsed()).await;
        }
        Ok(())
    }
}

fn asked_window(hands: &mut Hands, focus: Window) -> Result<Option<Window>> {
    let display = hands.display();
    let mut window = focus;
    while window != display.root {
        let protocols = display.numbers(window, display.atoms.WM_PROTOCOLS)?;
        if protocols.contains(&display.atoms._NET_WM_PING) {
            return Ok(Some(window));
        }
        window = display.conn.query_tree(window).map_err(x_failed)?.reply().map_err(x_failed)?.parent;
    }
    Ok(None)
}

/// Asks a program for a sign of life; whether it came. A program that hangs does not answer.
async fn ping(desktop: &Desktop, window: Window) -> Result<bool> {
    static LAST: AtomicU32 = AtomicU32::new(1);
    let number = LAST.fetch_add(1, Ordering::Relaxed) | 0x4000_0000;
    let mut happened = desktop.happenings().listen();
    desktop
        .hands()
        .run(move |hands| {
            let display = hands.display();
            let data = [display.atoms._NET_WM_PING, number, window, 0, 0];
            let message = ClientMessageEvent::new(32, window, display.atoms.WM_PROTOCOLS, data);
            display.conn.send_event(false, window, EventMask::NO_EVENT, message).map_err(x_failed)?;
            display.conn.flush().map_err(x_failed)
        })
        .await?;
    let answered = async {
        loop {
            match happened.recv().await {
                Ok(Happened::Answered(answer)) if answer == number => return true,
                Ok(Happened::Ended) | Err(RecvError::Closed) => return false,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
            }
        }
    };
    Ok(tokio::time::timeout(PATIENCE, answered).await.unwrap_or(false))
}
