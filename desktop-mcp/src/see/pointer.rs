//! The pointer, which is not on the screen's own memory, painted onto a frame.

use x11rb::protocol::xfixes::{ConnectionExt as _, GetCursorImageReply};

use super::frame::{Frame, PIXEL};
use crate::error::{Result, x_failed};
use crate::geometry::Rect;
use crate::x::Display;

/// Paints the pointer where it is.
pub fn paint_pointer(display: &Display, frame: &mut Frame) -> Result<()> {
    let image = display.conn.xfixes_get_cursor_image().map_err(x_failed)?.reply().map_err(x_failed)?;
    paint(&image, frame);
    Ok(())
}

fn paint(image: &GetCursorImageReply, frame: &mut Frame) {
    let (x, y) = (i32::from(image.x) - i32::from(image.xhot), i32::from(image.y) - i32::from(image.yhot));
    let area = Rect::new(x, y, image.width.into(), image.height.into());
    let Some(seen) = area.common(&frame.area) else { return };
    let stride = frame.stride();
    for row in seen.y..seen.bottom() {
        for column in seen.x..seen.right() {
            let from = (row - y).unsigned_abs() * area.width + (column - x).unsigned_abs();
            let Some(pixel) = image.cursor_image.get(from as usize) else { continue };
            let at = (row - frame.area.y).unsigned_abs() as usize * stride
                + (column - frame.area.x).unsigned_abs() as usize * PIXEL;
            over(*pixel, &mut frame.pixels[at..at + 3]);
        }
    }
}

/// Alpha, red, green, blue, already multiplied, over blue, green, red.
fn over(pixel: u32, below: &mut [u8]) {
    let [blue, green, red, alpha] = pixel.to_le_bytes();
    for (below, above) in below.iter_mut().zip([blue, green, red]) {
        let rest = u32::from(*below) * u32::from(255 - alpha) / 255;
        *below = u8::try_from(rest + u32::from(above)).unwrap_or(u8::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_painted_with_its_hot_spot_at_its_place_and_cut_at_the_edge() {
        let mut frame = Frame { area: Rect::new(10, 10, 2, 2), pixels: vec![100; 16] };
        let image = GetCursorImageReply {
            x: 11,
            y: 11,
            width: 2,
            height: 2,
            xhot: 0,
            yhot: 1,
            cursor_image: vec![0xff00_00ff, 0xffff_ffff, 0x0000_0000, 0x8000_0000],
            ..GetCursorImageReply::default()
        };
        paint(&image, &mut frame);
        assert_eq!(frame.pixels[4..7], [255, 0, 0], "blue, at the upper right");
        assert_eq!(frame.pixels[12..15], [100, 100, 100], "transparent");
        assert_eq!(frame.pixels[..3], [100, 100, 100], "not reached");
    }
}
