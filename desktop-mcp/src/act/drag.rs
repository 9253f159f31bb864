//! Dragging with the mouse, as one action: pressed, moved and let go, each when the programs have come that far. What is
//! dragged from one program to another is let go when the one below has said that it would take it.

use std::time::Duration;

use tokio::time::Instant;

use super::asked::{Asked, PATIENCE};
use super::hands::Hands;
use super::manager::has_caught_up;
use super::mouse::{Button, Held};
use super::names::Chord;
use crate::error::{Code, Problem, Result};
use crate::session::Desktop;
use crate::x::{Offers, Said};

/// Steps on the way: programs begin to drag after some of it, and look where the pointer is.
const STEPS: i32 = 24;
/// How long a hand takes for the way.
const WAY: Duration = Duration::from_millis(240);
/// What a program has, beyond its signs of life, to begin to drag or to ask what is below: toolkits do so with their
/// next picture, browsers when their page has answered. Twice as long as the slowest sign took comes on top, because
/// what is busy is slow in all of this.
const MORE: Duration = Duration::from_millis(200);
/// How often nobody may be asked before it is believed that nobody is.
const UNASKED: u32 = 3;
/// Longest time for what may never come: that who would not take it would after all.
const PERHAPS: Duration = Duration::from_secs(3);
/// How far the pointer moves to have the one below asked again.
const ASIDE: i32 = 3;
/// How far from the pointer it may be asked about: some programs count in larger units than pixels.
const NEAR: u32 = 1;

/// What became of what was dragged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Only the pointer was moved; or it was dragged within one program, which tells nobody.
    Untold,
    /// The program below has taken it.
    Taken,
    /// Nobody has.
    Refused,
}

/// Drags from one place to another.
///
/// # Errors
/// `desktop_ended`, `unknown_key`; `timed_out`: what is to be dragged does not answer.
pub async fn drag(
    desktop: &Desktop,
    from: (i32, i32),
    to: (i32, i32),
    button: Button,
    held: Chord,
) -> Result<Dropped> {
    let access = desktop.access().clone();
    let offers = tokio::task::spawn_blocking(move || Offers::listen(&access));
    let talk = Talk::new(offers.await.map_err(Problem::internal)??, to);
    let source = Asked::at(desktop, from).await?;
    let mut drag = Drag { desktop, source, to, talk, slowest: Duration::ZERO };
    let held = Held::press(desktop.hands(), held, Some((button.number(), from))).await?;
    // A busy window manager holds the press back, and all that follows it: the source would know of no drag.
    has_caught_up(desktop, Instant::now() + PATIENCE).await?;
    drag.catch_up().await?;
    for step in 1..=STEPS {
        tokio::time::sleep(WAY / STEPS.unsigned_abs()).await;
        drag.go((between(from.0, to.0, step), between(from.1, to.1, step))).await?;
        if drag.source.can_be_asked() {
            drag.catch_up().await?;
        }
    }
    drag.offer().await?;
    held.release().await?;
    Ok(drag.talk.end().await)
}

fn between(from: i32, to: i32, step: i32) -> i32 {
    from + (to - from) * step / STEPS
}

/// A drag under way.
struct Drag<'a> {
    desktop: &'a Desktop,
    source: Asked,
    to: (i32, i32),
    talk: Talk,
    /// The longest that the source took to give a sign of life.
    slowest: Duration,
}

impl Drag<'_> {
    async fn go(&self, at: (i32, i32)) -> Result<()> {
        let go = move |hands: &mut Hands| {
            hands.move_to(at)?;
            hands.display().sync()
        };
        self.desktop.hands().run(go).await
    }

    /// Waits until the source has come as far as the pointer; until when it may take to act on that.
    async fn catch_up(&mut self) -> Result<Instant> {
        let asked = Instant::now();
        if self.source.has_caught_up(self.desktop).await? == Some(false) {
            let message = "the program that is dragged from does not answer: it may hang, or be busy";
            return Err(Problem::new(Code::TimedOut, message));
        }
        self.slowest = self.slowest.max(asked.elapsed());
        Ok(Instant::now() + (MORE + 2 * self.slowest).min(PATIENCE))
    }

    /// Waits until what is below would take it. It is asked again as long as it would not: a browser answers with what
    /// its page said of the place before.
    async fn offer(&mut self) -> Result<()> {
        let mut until = self.catch_up().await?;
        if !self.talk.until(until, |talk| talk.begun).await {
            return Ok(());
        }
        let (mut silent, mut end) = (0, Instant::now() + 2 * PATIENCE);
        while silent < UNASKED && Instant::now() < end {
            if !self.talk.until(until, |talk| talk.asked || talk.would.is_some()).await {
                silent += 1;
            }
            // Sources ask about the next place when they have the answer about the one before.
            let answered = self.talk.until(Instant::now() + PATIENCE, |talk| !talk.asked).await;
            match self.talk.would {
                Some(true) => break,
                Some(false) => end = end.min(Instant::now() + PERHAPS),
                None if !answered => break,
                None => {}
            }
            until = self.ask_again().await?;
        }
        Ok(())
    }

    /// Sources tell of the pointer when it moves.
    async fn ask_again(&mut self) -> Result<Instant> {
        self.talk.would = None;
        let (x, y) = self.to;
        self.go((if x < ASIDE { x + ASIDE } else { x - ASIDE }, y)).await?;
        self.catch_up().await?;
        self.go(self.to).await?;
        self.catch_up().await
    }
}

/// What source and target have said to each other.
struct Talk {
    offers: Offers,
    to: (i32, i32),
    /// Whether something is dragged at all.
    begun: bool,
    /// Whether somebody is asked and has not answered yet.
    asked: bool,
    /// Whether that is about the end of the way.
    here: bool,
    /// What was answered about it last.
    would: Option<bool>,
}

impl Talk {
    fn new(offers: Offers, to: (i32, i32)) -> Self {
        Self { offers, to, begun: false, asked: false, here: false, would: None }
    }

    /// Listens until it is so, or the time is over; whether it is so.
    async fn until(&mut self, end: Instant, is: impl Fn(&Self) -> bool) -> bool {
        while !is(self) {
            match tokio::time::timeout_at(end, self.offers.next()).await {
                Ok(Some(said)) => self.hear(said),
                Ok(None) | Err(_) => return false,
            }
        }
        true
    }

    fn hear(&mut self, said: Said) {
        self.begun = true;
        match said {
            Said::At(x, y) => {
                self.here = x.abs_diff(self.to.0).max(y.abs_diff(self.to.1)) <= NEAR;
                self.asked = true;
            }
            Said::Would(would) => {
                self.would = self.here.then_some(would);
                self.asked = false;
            }
            Said::Left => self.asked = false,
            Said::Begun | Said::Dropped | Said::Taken(_) => {}
        }
    }

    /// What becomes of it after it was let go.
    async fn end(mut self) -> Dropped {
        if !self.asked && self.would.is_none() {
            return Dropped::Untold;
        }
        let said = async {
            loop {
                match self.offers.next().await {
                    Some(Said::Left | Said::Taken(false)) => return Dropped::Refused,
                    Some(Said::Taken(true)) => return Dropped::Taken,
                    Some(_) => {}
                    None => return Dropped::Untold,
                }
            }
        };
        tokio::time::timeout(PATIENCE, said).await.unwrap_or(Dropped::Untold)
    }
}
