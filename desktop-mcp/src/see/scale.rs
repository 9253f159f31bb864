//! Frames made smaller.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image, images::ImageRef,
};

use super::frame::{Frame, PIXEL};
use crate::error::{Problem, Result};

/// The frame in another size. Text stays readable longest with this filter.
///
/// # Errors
/// A side of no length.
pub fn scaled(frame: &Frame, width: u32, height: u32) -> Result<Frame> {
    if (frame.area.width, frame.area.height) == (width, height) {
        return Ok(frame.clone());
    }
    let source = ImageRef::new(frame.area.width, frame.area.height, &frame.pixels, PixelType::U8x4)
        .map_err(Problem::internal)?;
    let mut image = Image::new(width, height, PixelType::U8x4);
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).use_alpha(false);
    Resizer::new().resize(&source, &mut image, &options).map_err(Problem::internal)?;
    let pixels = image.into_vec();
    debug_assert_eq!(pixels.len(), width as usize * height as usize * PIXEL);
    Ok(Frame { area: crate::geometry::Rect::new(frame.area.x, frame.area.y, width, height), pixels })
}
