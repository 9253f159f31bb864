//! An animation as it grows: of each frame only the part that differs from the one before is written, when it is known
//! how long it is shown. How pictures and times are written is the container's.

use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;

use crate::error::{Problem, Result};
use crate::geometry::Rect;
use crate::see::Frame;

/// Longest side of all formats.
const LONGEST: u32 = 1 << 14;

/// A format of animations, and a file of it that is being written.
pub trait Container: Send {
    /// Writes a part and how long it is shown. Its corner is at even numbers.
    ///
    /// # Errors
    /// The file cannot be written.
    fn write(&mut self, at: Rect, part: &Frame, time: Duration) -> Result<()>;

    /// Writes what the file ends with.
    ///
    /// # Errors
    /// As [`Self::write`].
    fn finish(&mut self) -> Result<()>;

    /// Bytes so far.
    fn bytes(&self) -> u64;
}

/// See the module.
pub struct Animation {
    container: Box<dyn Container>,
    /// The frame as it is shown so far.
    shown: Frame,
    /// The last part, which is written when it is known how long it is shown.
    part: Option<(Rect, Frame)>,
    frames: u32,
}

impl Animation {
    /// Begins with a frame; `open` begins the file for its width and height.
    ///
    /// # Errors
    /// A screen that is larger than the format, or a file that cannot be written.
    pub fn begin(first: Frame, open: impl FnOnce(u32, u32) -> Result<Box<dyn Container>>) -> Result<Self> {
        let Rect { width, height, .. } = first.area;
        if width > LONGEST || height > LONGEST {
            return Err(Problem::invalid(
                "region",
                format!("a recording is at most {LONGEST} pixels wide and high"),
            ));
        }
        let part = Some((Rect::new(0, 0, width, height), first.clone()));
        Ok(Self { container: open(width, height)?, shown: first, part, frames: 1 })
    }

    /// Adds what is different in the next frame; the one before was shown for `time`. Whether there was a difference.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, next: Frame, time: Duration) -> Result<bool> {
        // The screen has another size: what is left of the old one goes on.
        if next.area != self.shown.area {
            return Ok(false);
        }
        let Some(part) = difference(&self.shown, &next) else { return Ok(false) };
        self.write_part(time)?;
        let at = Rect::new(self.shown.area.x + part.x, self.shown.area.y + part.y, part.width, part.height);
        let changed = next.part(at).ok_or_else(|| Problem::internal("a part that is not in the frame"))?;
        self.part = Some((part, changed));
        self.shown = next;
        self.frames += 1;
        Ok(true)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.container.bytes()
    }

    /// Ends it; the last frame is shown for `time`. Its size, and how many frames it has.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, time: Duration) -> Result<(u64, u32)> {
        self.write_part(time)?;
        self.container.finish()?;
        Ok((self.bytes(), self.frames))
    }

    fn write_part(&mut self, time: Duration) -> Result<()> {
        match self.part.take() {
            Some((at, part)) => self.container.write(at, &part, time),
            None => Ok(()),
        }
    }
}

/// A file whose bytes are counted.
#[derive(Debug)]
pub struct Counted<W> {
    file: W,
    bytes: u64,
}

impl<W> Counted<W> {
    /// Nothing so far.
    pub fn new(file: W) -> Self {
        Self { file, bytes: 0 }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file itself, whose bytes are not counted.
    pub fn file(&mut self) -> &mut W {
        &mut self.file
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<W: Seek> Seek for Counted<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The smallest part with all differences, relative to the frame; its corner at even numbers, as WebP needs it.
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
    use std::sync::{Arc, Mutex};

    use super::super::gif::Gif;
    use super::super::webp::Webp;
    use super::*;

    /// A file that is read when its animation has gone.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Cursor<Vec<u8>>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Shared {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.lock().unwrap().seek(to)
        }
    }

    impl Shared {
        fn read(&self) -> Vec<u8> {
            self.0.lock().unwrap().get_ref().clone()
        }
    }

    fn frame(paint: impl Fn(u32, u32) -> [u8; 3]) -> Frame {
        let area = Rect::new(5, 7, 40, 30);
        let pixels = (0..30).flat_map(|y| (0..40).map(move |x| (x, y))).flat_map(|(x, y)| {
            let [red, green, blue] = paint(x, y);
            [blue, green, red, 0]
        });
        Frame { area, pixels: pixels.collect() }
    }

    /// Fewer than 256 colours, which a GIF has exactly.
    fn dot(at: (u32, u32)) -> Frame {
        frame(move |x, y| if (x, y) == at { [255, 0, 9] } else { [x as u8 / 4, y as u8 / 3, 80] })
    }

    /// Three frames, shown for 120, 30 and 1000 ms; what was said of their size.
    fn record(open: impl FnOnce(u32, u32) -> Result<Box<dyn Container>>) -> (Vec<Frame>, u64) {
        let frames = vec![dot((0, 0)), dot((13, 9)), dot((39, 29))];
        let mut animation = Animation::begin(frames[0].clone(), open).unwrap();
        assert!(!animation.add(frames[0].clone(), Duration::from_millis(5)).unwrap(), "nothing is different");
        assert!(animation.add(frames[1].clone(), Duration::from_millis(120)).unwrap());
        assert!(animation.add(frames[2].clone(), Duration::from_millis(30)).unwrap());
        let (bytes, count) = animation.finish(Duration::from_millis(1000)).unwrap();
        assert_eq!(count, 3);
        (frames, bytes)
    }

    #[test]
    fn every_frame_of_a_webp_comes_back_exactly_with_its_time() {
        let file = Shared::default();
        let (frames, bytes) = record(|width, height| Ok(Box::new(Webp::begin(file.clone(), width, height)?)));
        assert_eq!(bytes, file.read().len() as u64);
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file.read())).unwrap();
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
    fn every_frame_of_a_gif_comes_back_with_its_time() {
        let file = Shared::default();
        let (frames, _) = record(|width, height| Ok(Box::new(Gif::begin(file.clone(), width, height)?)));
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(Cursor::new(file.read())).unwrap();
        assert_eq!((decoder.width(), decoder.height()), (40, 30));
        let mut screen = vec![0_u8; 40 * 30 * 3];
        for (frame, time) in frames.iter().zip([12, 3, 100]) {
            let picture = decoder.read_next_frame().unwrap().unwrap();
            assert_eq!(picture.delay, time);
            for (n, pixel) in picture.buffer.chunks_exact(4).enumerate() {
                let (x, y) = (n % usize::from(picture.width), n / usize::from(picture.width));
                let at = (usize::from(picture.top) + y) * 40 + usize::from(picture.left) + x;
                screen[at * 3..at * 3 + 3].copy_from_slice(&pixel[..3]);
            }
            assert!(screen == frame.rgb(), "the frame that is shown for {time} hundredths of a second");
        }
        assert!(decoder.read_next_frame().unwrap().is_none());
    }

    #[test]
    fn a_difference_begins_at_even_numbers() {
        let (before, after) = (frame(|_, _| [0; 3]), frame(|x, y| [u8::from((x, y) == (13, 9)); 3]));
        assert_eq!(difference(&before, &after), Some(Rect::new(12, 8, 2, 2)));
        assert_eq!(difference(&before, &before), None);
    }
}
