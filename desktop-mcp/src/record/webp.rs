//! An animated WebP as it grows: a container of RIFF chunks, one `ANMF` for each frame. The pictures in it are made by
//! `image-webp`; this is the container alone.

use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;

use super::animation::{Container, Counted};
use crate::error::{Problem, Result};
use crate::geometry::Rect;
use crate::see::Frame;

/// Longest time that one frame is shown: 24 bits of milliseconds.
const LONGEST_TIME: u128 = (1 << 24) - 1;
/// Chunk `VP8X`: the file is an animation.
const ANIMATED: u8 = 2;
/// A frame replaces what was there, without blending.
const REPLACE: u8 = 2;

/// A file that is being written.
#[derive(Debug)]
pub struct Webp<W>(Counted<W>);

impl<W: Write + Seek> Webp<W> {
    /// Begins.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn begin(file: W, width: u32, height: u32) -> Result<Self> {
        let mut head = b"RIFF\0\0\0\0WEBP".to_vec();
        let sizes = [small(width - 1), small(height - 1)].concat();
        chunk(&mut head, b"VP8X", &[&[ANIMATED, 0, 0, 0], sizes.as_slice()].concat());
        // Background: opaque black; shown again and again.
        chunk(&mut head, b"ANIM", &[0, 0, 0, 255, 0, 0]);
        let mut file = Counted::new(file);
        file.write_all(&head).map_err(failed)?;
        Ok(Self(file))
    }
}

impl<W: Write + Seek + Send> Container for Webp<W> {
    fn write(&mut self, at: Rect, part: &Frame, time: Duration) -> Result<()> {
        let time = u32::try_from(time.as_millis().clamp(1, LONGEST_TIME)).map_err(Problem::internal)?;
        let picture = picture(part)?;
        let mut frame = Vec::with_capacity(picture.len() + 32);
        for number in [at.x.unsigned_abs() / 2, at.y.unsigned_abs() / 2, at.width - 1, at.height - 1, time] {
            frame.extend(small(number));
        }
        frame.push(REPLACE);
        frame.extend(picture);
        let mut bytes = Vec::with_capacity(frame.len() + 8);
        chunk(&mut bytes, b"ANMF", &frame);
        self.0.write_all(&bytes).map_err(failed)
    }

    fn finish(&mut self) -> Result<()> {
        let length = u32::try_from(self.bytes() - 8).map_err(Problem::internal)?;
        self.0.seek(SeekFrom::Start(4)).map_err(failed)?;
        // Over what was there.
        self.0.file().write_all(&length.to_le_bytes()).map_err(failed)?;
        self.0.flush().map_err(failed)
    }

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

fn failed(error: io::Error) -> Problem {
    Problem::system("write", "the recording", error)
}

/// The low 24 bits, low byte first.
fn small(number: u32) -> [u8; 3] {
    let [low, middle, high, _] = number.to_le_bytes();
    [low, middle, high]
}

fn chunk(to: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    to.extend(name);
    to.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend(data);
    if data.len() % 2 == 1 {
        to.push(0);
    }
}

/// The picture's own chunk: a whole file without its first twelve bytes, `RIFF`, length and `WEBP`.
fn picture(frame: &Frame) -> Result<Vec<u8>> {
    let mut file = crate::see::encode(frame, crate::see::Format::Webp, 0)?;
    file.drain(..12.min(file.len()));
    Ok(file)
}
