//! Frames as files of pictures.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use schemars::JsonSchema;
use serde::Deserialize;

use super::frame::{Frame, to_rgb};
use crate::error::{Problem, Result};

/// Quality of JPEG when none is asked for.
pub const QUALITY: u8 = 80;

/// How a PNG's row says that it has differences to the row above.
const UP: u8 = 2;

/// Kinds of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Exact, fast
    #[default]
    Png,
    /// Small for photographs and video
    Jpeg,
    /// Exact, smaller
    Webp,
}

impl Format {
    /// As the web names it.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    /// What names of such files end in.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }
}

/// The frame as a file; `quality` is that of JPEG, 1 to 100.
///
/// # Errors
/// Sides that the format does not have.
pub fn encode(frame: &Frame, format: Format, quality: u8) -> Result<Vec<u8>> {
    let (width, height) = (frame.area.width, frame.area.height);
    let mut file = Vec::with_capacity(frame.pixels.len() / 8);
    match format {
        Format::Png => png(frame, &mut file)?,
        Format::Jpeg => {
            let side = |value: u32| u16::try_from(value).map_err(Problem::internal);
            let mut encoder = Encoder::new(&mut file, quality.clamp(1, 100));
            // Text has coloured edges; it is worth the bytes where they are not counted.
            let sampling = if quality > 90 { SamplingFactor::F_1_1 } else { SamplingFactor::F_2_2 };
            encoder.set_sampling_factor(sampling);
            encoder
                .encode(&frame.pixels, side(width)?, side(height)?, ColorType::Bgra)
                .map_err(Problem::internal)?;
        }
        Format::Webp => {
            let encoder = image_webp::WebPEncoder::new(&mut file);
            encoder
                .encode(&frame.rgb(), width, height, image_webp::ColorType::Rgb8)
                .map_err(Problem::internal)?;
        }
    }
    Ok(file)
}

/// The encoder's own writer of rows takes nearly twice as long: it hands on eight bytes at a time. Most rows of a screen
/// are like those above them, hence differences to them; what is worked on stays in the processor's cache.
fn png(frame: &Frame, file: &mut Vec<u8>) -> Result<()> {
    let mut encoder = png::Encoder::new(file, frame.area.width, frame.area.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(Problem::internal)?;
    let rows = compressed_rows(frame).map_err(Problem::internal)?;
    writer.write_chunk(png::chunk::IDAT, &rows).map_err(Problem::internal)?;
    writer.finish().map_err(Problem::internal)
}

fn compressed_rows(frame: &Frame) -> std::io::Result<Vec<u8>> {
    let mut compressor = fdeflate::Compressor::new(Vec::with_capacity(frame.pixels.len() / 8))?;
    let width = frame.area.width as usize * 3;
    let (mut above, mut current) = (vec![0_u8; width], vec![0_u8; width]);
    let mut filtered = vec![UP; 1 + width];
    for row in frame.rows() {
        to_rgb(row, &mut current);
        for ((to, now), before) in filtered[1..].iter_mut().zip(&current).zip(&above) {
            *to = now.wrapping_sub(*before);
        }
        compressor.write_data(&filtered)?;
        std::mem::swap(&mut above, &mut current);
    }
    compressor.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn frame() -> Frame {
        sized(64, 48)
    }

    fn sized(width: u32, height: u32) -> Frame {
        let pixel = |n: u32| [(n % width * 4) as u8, (n / width / 2 * 5) as u8, 40, 77];
        Frame { area: Rect::new(0, 0, width, height), pixels: (0..width * height).flat_map(pixel).collect() }
    }

    #[test]
    fn png_is_exact_whatever_its_sides() {
        for (width, height) in [(1, 1), (1, 9), (2, 3), (3, 2), (5, 4), (8, 8), (301, 77)] {
            let frame = sized(width, height);
            let file = encode(&frame, Format::Png, QUALITY).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            reader.finish().unwrap();
            assert_eq!(pixels, frame.rgb(), "{width}x{height}");
        }
    }

    #[test]
    fn webp_is_exact() {
        let frame = frame();
        let file = encode(&frame, Format::Webp, QUALITY).unwrap();
        let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(file)).unwrap();
        let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
        decoder.read_image(&mut pixels).unwrap();
        assert_eq!(pixels, frame.rgb());
    }

    #[test]
    fn jpeg_is_a_jpeg_of_the_asked_quality() {
        let (small, large) = (encode(&frame(), Format::Jpeg, 20), encode(&frame(), Format::Jpeg, 95));
        let (small, large) = (small.unwrap(), large.unwrap());
        assert!(small.starts_with(&[0xff, 0xd8]) && small.len() < large.len());
    }
}
