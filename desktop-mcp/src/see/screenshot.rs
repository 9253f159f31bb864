//! Screenshots: of the screen, a region or a window, as large as models take.

use std::borrow::Cow;

use super::changes::{Change, changes};
use super::encode::{Format, encode};
use super::eyes::Eyes;
use super::frame::Frame;
use super::pointer::paint_pointer;
use super::scale::scaled;
use crate::error::Result;
use crate::geometry::{Mapping, Rect};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Shot {
    /// Which part of the screen.
    pub area: Rect,
    /// Longest side of the picture.
    pub longest: u32,
    /// With the pointer.
    pub pointer: bool,
    /// What has changed since the last picture, and no picture when nothing has.
    pub only_changes: bool,
    /// Kind of picture.
    pub format: Format,
    /// Quality of JPEG.
    pub quality: u8,
}

/// What came of it.
#[derive(Debug)]
pub struct Shown {
    /// Compared with the last screenshot.
    pub change: Change,
    /// The picture and its file, unless nothing has changed and only changes were wanted.
    pub picture: Option<(Mapping, Vec<u8>)>,
}

/// Takes a screenshot and remembers it as the last.
///
/// # Errors
/// `off_screen`, `desktop_ended`.
pub fn take(eyes: &mut Eyes, shot: Shot) -> Result<Shown> {
    let mut frame = eyes.spare.take().unwrap_or_default();
    eyes.look_again(&mut frame, shot.area)?;
    let change = eyes.last.as_ref().map_or(Change::Incomparable, |last| changes(last, &frame));
    let picture = match &change {
        Change::None if shot.only_changes => None,
        Change::Within(rects) if shot.only_changes => Some(develop(eyes, &frame, around(rects), shot)?),
        _ => Some(develop(eyes, &frame, frame.area, shot)?),
    };
    // Without the pointer, which is told by its place.
    eyes.spare = eyes.last.replace(frame);
    Ok(Shown { change, picture })
}

/// The picture of a part of a frame.
fn develop(eyes: &Eyes, frame: &Frame, wanted: Rect, shot: Shot) -> Result<(Mapping, Vec<u8>)> {
    let mut part = Cow::Borrowed(frame);
    if shot.pointer {
        paint_pointer(eyes.display(), part.to_mut())?;
    }
    if wanted != frame.area {
        part = part.part(wanted).map_or(part, Cow::Owned);
    }
    picture(&part, shot.longest, shot.format, shot.quality)
}

/// A frame as a picture that fits, and its file.
///
/// # Errors
/// Sides that the format does not have.
pub fn picture(frame: &Frame, longest: u32, format: Format, quality: u8) -> Result<(Mapping, Vec<u8>)> {
    let mapping = Mapping::fit(frame.area, longest);
    let file = if mapping.is_exact() {
        encode(frame, format, quality)?
    } else {
        encode(&scaled(frame, mapping.width, mapping.height)?, format, quality)?
    };
    Ok((mapping, file))
}

/// A rectangle around all, with some of what is beside them.
fn around(rects: &[Rect]) -> Rect {
    const BESIDE: u32 = 24;
    let all = rects.iter().copied().reduce(|all, rect| all.with(&rect)).unwrap_or_default();
    let beside = BESIDE.cast_signed();
    Rect::new(all.x - beside, all.y - beside, all.width + 2 * BESIDE, all.height + 2 * BESIDE)
}
