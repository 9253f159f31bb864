//! An animated WebP as it grows: a container of RIFF chunks, one `ANMF` for each frame, of which each holds only the
//! part that differs from the frame before. The pictures in it are made by `image-webp`; this is the container alone.

use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;

use crate::error::{Problem, Result};
use crate::geometry::Rect;
use crate::see::Frame;

/// Longest side of the format.
const LONGEST: u32 = 1 << 14;
/// Longest time that one frame is shown: 24 bits of milliseconds.
const LONGEST_TIME: u128 = (1 << 24) - 1;
/// Chunk `VP8X`: the file is an animation.
const ANIMATED: u8 = 2;
/// A frame replaces what was there, without blending.
const REPLACE: u8 = 2;

/// A file that is being written.
#[derive(Debug)]
pub struct Animation<W> {
    file: W,
    /// The frame as it is shown so far.
    shown: Frame,
    /// The last part, which is written when it is known how long it is shown.
    part: Option<(Rect, Vec<u8>)>,
    bytes: u64,
    frames: u32,
}

impl<W: Write + Seek> Animation<W> {
    /// Begins with a frame.
    ///
    /// # Errors
    /// A screen that is larger than the format, or a file that cannot be written.
    pub fn begin(mut file: W, first: Frame) -> Result<Self> {
        let Rect { width, height, .. } = first.area;
        if width > LONGEST || height > LONGEST {
            return Err(Problem::invalid(
                "region",
                format!("a recording is at most {LONGEST} pixels wide and high"),
            ));
        }
        let mut head = b"RIFF\0\0\0\0WEBP".to_vec();
        let sizes = [small(width - 1), small(height - 1)].concat();
        chunk(&mut head, b"VP8X", &[&[ANIMATED, 0, 0, 0], sizes.as_slice()].concat());
        // Background: opaque black; shown again and again.
        chunk(&mut head, b"ANIM", &[0, 0, 0, 255, 0, 0]);
        file.write_all(&head).map_err(failed)?;
        let bytes = head.len() as u64;
        let whole = Rect::new(0, 0, width, height);
        let part = Some((whole, picture(&first)?));
        Ok(Self { file, shown: first, part, bytes, frames: 1 })
    }

    /// Adds what is different in the next frame; the one before was shown for `time`. Whether there was a difference.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn add(&mut self, next: Frame, time: Duration) -> Result<bool> {
        // The screen has another size: what is left of the old one goes on.
        if next.area != self.shown.area {
            return Ok(false);
        }
        let Some(part) = difference(&self.shown, &next) else { return Ok(false) };
        self.write_part(time)?;
        let at = Rect::new(self.shown.area.x + part.x, self.shown.area.y + part.y, part.width, part.height);
        let changed = next.part(at).ok_or_else(|| Problem::internal("a part that is not in the frame"))?;
        self.part = Some((part, picture(&changed)?));
        self.shown = next;
        self.frames += 1;
        Ok(true)
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.part.as_ref().map_or(0, |(_, picture)| picture.len() as u64)
    }

    /// Frames so far.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Ends it; the last frame is shown for `time`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, time: Duration) -> Result<(u64, u32)> {
        self.write_part(time)?;
        let length = u32::try_from(self.bytes - 8).map_err(Problem::internal)?;
        self.file.seek(SeekFrom::Start(4)).map_err(failed)?;
        self.file.write_all(&length.to_le_bytes()).map_err(failed)?;
        self.file.flush().map_err(failed)?;
        Ok((self.bytes, self.frames))
    }

    fn write_part(&mut self, time: Duration) -> Result<()> {
        let Some((part, picture)) = self.part.take() else { return Ok(()) };
        let time = u32::try_from(time.as_millis().clamp(1, LONGEST_TIME)).map_err(Problem::internal)?;
        let mut frame = Vec::with_capacity(picture.len() + 32);
        for number in
            [part.x.unsigned_abs() / 2, part.y.unsigned_abs() / 2, part.width - 1, part.height - 1, time]
        {
            frame.extend(small(number));
        }
        frame.push(REPLACE);
        frame.extend(picture);
        let mut bytes = Vec::with_capacity(frame.len() + 8);
        chunk(&mut bytes, b"ANMF", &frame);
        self.bytes += bytes.len() as u64;
        self.file.write_all(&bytes).map_err(failed)
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

/// The smallest part with all differences, relative to the frame; its corner at even numbers, as the format needs it.
fn difference(before: &Frame, after: &Frame) -> Option<Rect> {
    const PIXEL: usize = 4;
    let differs = |(old, new): &(&[u8], &[u8])| old != new;
    let rows: Vec<(&[u8], &[u8])> = before.rows().zip(after.rows()).collect();
    let top = rows.iter().position(differs)?;
    let bottom = rows.iter().rposition(differs)?;
    let (mut left, mut right) = (usize::MAX, 0);
    for (old, new) in rows.get(top..=bottom)?.iter().filter(|row| differs(row)) {
        let mut pixels = old.chunks_exact(PIXEL).zip(new.chunks_exact(PIXEL));
        let first = pixels.position(|(old, new)| old != new)?;
        let last = old.chunks_exact(PIXEL).zip(new.chunks_exact(PIXEL)).rposition(|(old, new)| old != new)?;
        (left, right) = (left.min(first), right.max(last));
    }
    let (left, top) = (left & !1, top & !1);
    let number = |value: usize| u32::try_from(value).ok();
    let corner = |value: usize| i32::try_from(value).ok();
    Some(Rect::new(corner(left)?, corner(top)?, number(right - left + 1)?, number(bottom - top + 1)?))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn frame(paint: impl Fn(u32, u32) -> [u8; 3]) -> Frame {
        let area = Rect::new(5, 7, 40, 30);
        let pixels = (0..30).flat_map(|y| (0..40).map(move |x| (x, y))).flat_map(|(x, y)| {
            let [red, green, blue] = paint(x, y);
            [blue, green, red, 0]
        });
        Frame { area, pixels: pixels.collect() }
    }

    #[test]
    fn every_frame_comes_back_exactly_with_its_time() {
        let dot = |at: (u32, u32)| {
            frame(move |x, y| if (x, y) == at { [255, 0, 9] } else { [x as u8, y as u8, 80] })
        };
        let frames = [dot((0, 0)), dot((13, 9)), dot((39, 29))];
        let mut file = Cursor::new(Vec::new());
        let mut animation = Animation::begin(&mut file, frames[0].clone()).unwrap();
        assert!(!animation.add(frames[0].clone(), Duration::from_millis(5)).unwrap(), "nothing is different");
        assert!(animation.add(frames[1].clone(), Duration::from_millis(120)).unwrap());
        assert!(animation.add(frames[2].clone(), Duration::from_millis(30)).unwrap());
        let (bytes, count) = animation.finish(Duration::from_millis(1000)).unwrap();
        let file = file.into_inner();
        assert_eq!((bytes, count), (file.len() as u64, 3));
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).unwrap();
        assert!(decoder.is_animated() && decoder.dimensions() == (40, 30) && decoder.num_frames() == 3);
        let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
        for (frame, time) in frames.iter().zip([120, 30, 1000]) {
            assert_eq!(decoder.read_frame(&mut pixels).unwrap(), time);
            let bytes = if decoder.has_alpha() { 4 } else { 3 };
            let rgb: Vec<u8> = pixels.chunks_exact(bytes).flat_map(|pixel| pixel[..3].to_vec()).collect();
            assert!(rgb == frame.rgb(), "the frame that is shown for {time} ms");
        }
    }

    #[test]
    fn a_difference_begins_at_even_numbers() {
        let (before, after) = (frame(|_, _| [0; 3]), frame(|x, y| [u8::from((x, y) == (13, 9)); 3]));
        assert_eq!(difference(&before, &after), Some(Rect::new(12, 8, 2, 2)));
        assert_eq!(difference(&before, &before), None);
    }
}
