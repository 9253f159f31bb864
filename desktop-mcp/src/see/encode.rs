//! Frames as files of pictures.

use std::io::Write;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use schemars::JsonSchema;
use serde::Deserialize;

use super::frame::{Frame, to_rgb};
use crate::error::{Problem, Result};

/// Quality of JPEG when none is asked for.
pub const QUALITY: u8 = 80;
/// Bytes of a piece of a PNG.
const PIECE: usize = 1 << 20;

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

/// Row by row, so that what is worked on stays in the processor's cache. Most rows of a screen are like those above them.
fn png(frame: &Frame, file: &mut Vec<u8>) -> Result<()> {
    let (width, height) = (frame.area.width, frame.area.height);
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Up);
    let mut header = encoder.write_header().map_err(Problem::internal)?;
    let mut writer = header.stream_writer_with_size(PIECE).map_err(Problem::internal)?;
    let mut rgb = vec![0; width as usize * 3];
    for row in frame.rows() {
        to_rgb(row, &mut rgb);
        writer.write_all(&rgb).map_err(Problem::internal)?;
    }
    writer.finish().map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn frame() -> Frame {
        let pixels =
            (0..64_u32 * 48).flat_map(|n| [(n % 64) as u8 * 4, (n / 64) as u8 * 5, 40, 77]).collect();
        Frame { area: Rect::new(0, 0, 64, 48), pixels }
    }

    #[test]
    fn png_and_webp_are_exact() {
        let frame = frame();
        let file = encode(&frame, Format::Png, QUALITY).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, frame.rgb());
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
