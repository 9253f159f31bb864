//! An animated GIF as it grows. The format has 256 colours a picture: parts with more are shown in the nearest ones.

use std::io::Write;
use std::time::Duration;

use gif::{DisposalMethod, Encoder, Frame as Picture, Repeat};

use super::animation::{Container, Counted};
use crate::error::{Problem, Result};
use crate::geometry::Rect;
use crate::see::Frame;

/// How thoroughly the 256 colours are sought, 1 (best) to 30.
const SPEED: i32 = 20;
/// The format's unit of time.
const HUNDREDTH: u128 = 10_000;

/// A file that is being written.
pub struct Gif<W: Write> {
    encoder: Encoder<Counted<W>>,
    /// Microseconds that were too little for the format so far.
    rest: u128,
}

impl<W: Write> Gif<W> {
    /// Begins.
    ///
    /// # Errors
    /// A file that cannot be written, or a screen larger than the format.
    pub fn begin(file: W, width: u32, height: u32) -> Result<Self> {
        let side = |value: u32| u16::try_from(value).map_err(Problem::internal);
        let file = Counted::new(file);
        let mut encoder = Encoder::new(file, side(width)?, side(height)?, &[]).map_err(failed)?;
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        Ok(Self { encoder, rest: 0 })
    }
}

impl<W: Write + Send> Container for Gif<W> {
    fn write(&mut self, at: Rect, part: &Frame, time: Duration) -> Result<()> {
        let side = |value: u32| u16::try_from(value).map_err(Problem::internal);
        let (left, top) = (side(at.x.unsigned_abs())?, side(at.y.unsigned_abs())?);
        let time = time.as_micros() + self.rest;
        // Browsers take 0 and 1 for a tenth of a second.
        let shown = u16::try_from(time / HUNDREDTH).unwrap_or(u16::MAX).max(2);
        self.rest = time.saturating_sub(u128::from(shown) * HUNDREDTH);
        let mut picture = Picture::from_rgb_speed(side(at.width)?, side(at.height)?, &part.rgb(), SPEED);
        (picture.left, picture.top, picture.delay) = (left, top, shown);
        picture.dispose = DisposalMethod::Keep;
        self.encoder.write_frame(&picture).map_err(failed)
    }

    fn finish(&mut self) -> Result<()> {
        // The encoder writes the end of the file when it goes; until then everything else has been written.
        self.encoder.get_mut().flush().map_err(|error| Problem::system("write", "the recording", error))
    }

    fn bytes(&self) -> u64 {
        self.encoder.get_ref().bytes()
    }
}

fn failed(error: gif::EncodingError) -> Problem {
    match error {
        gif::EncodingError::Io(error) => Problem::system("write", "the recording", error),
        error => Problem::internal(error),
    }
}
