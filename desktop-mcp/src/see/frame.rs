//! A part of the screen as it was at one moment.

use crate::geometry::Rect;

/// Bytes of a pixel: blue, green, red and one that says nothing.
pub const PIXEL: usize = 4;

/// A part of the screen, row after row without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Which part.
    pub area: Rect,
    /// Blue, green, red and an unused byte for each pixel.
    pub pixels: Vec<u8>,
}

impl Frame {
    /// Bytes of a row.
    pub fn stride(&self) -> usize {
        self.area.width as usize * PIXEL
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.pixels.chunks_exact(self.stride().max(1))
    }

    /// A part of it; only what both have in common, nothing when they have nothing.
    pub fn part(&self, area: Rect) -> Option<Self> {
        let area = self.area.common(&area)?;
        let left = self.area.x.abs_diff(area.x) as usize * PIXEL;
        let width = area.width as usize * PIXEL;
        let rows = self.rows().skip(self.area.y.abs_diff(area.y) as usize).take(area.height as usize);
        let pixels = rows.flat_map(|row| &row[left..left + width]).copied().collect();
        Some(Self { area, pixels })
    }

    /// Red, green and blue only.
    pub fn rgb(&self) -> Vec<u8> {
        let mut rgb = vec![0; self.pixels.len() / PIXEL * 3];
        to_rgb(&self.pixels, &mut rgb);
        rgb
    }
}

/// Red, green and blue of pixels, as many as there are of both.
pub fn to_rgb(pixels: &[u8], rgb: &mut [u8]) {
    // Four at a time are three whole words.
    let (fours, rest) = pixels.as_chunks::<{ 4 * PIXEL }>();
    let (words, last) = rgb.as_chunks_mut::<12>();
    for (to, from) in words.iter_mut().zip(fours) {
        let pixel = |n: usize| {
            let [blue, green, red, _] = [from[4 * n], from[4 * n + 1], from[4 * n + 2], 0];
            u32::from_le_bytes([red, green, blue, 0])
        };
        let [a, b, c, d] = [pixel(0), pixel(1), pixel(2), pixel(3)];
        to[0..4].copy_from_slice(&(a | b << 24).to_le_bytes());
        to[4..8].copy_from_slice(&(b >> 8 | c << 16).to_le_bytes());
        to[8..12].copy_from_slice(&(c >> 16 | d << 8).to_le_bytes());
    }
    for (to, from) in last.as_chunks_mut::<3>().0.iter_mut().zip(rest.as_chunks::<PIXEL>().0) {
        *to = [from[2], from[1], from[0]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_pixels_of_its_place() {
        let area = Rect::new(10, 20, 4, 3);
        let pixels = (0..12).flat_map(|n| [n, n + 100, n + 200, 0]).collect();
        let frame = Frame { area, pixels };
        let part = frame.part(Rect::new(12, 21, 10, 1)).unwrap();
        assert_eq!(part.area, Rect::new(12, 21, 2, 1));
        assert_eq!(part.rgb(), [206, 106, 6, 207, 107, 7]);
        assert_eq!(frame.part(Rect::new(14, 20, 1, 1)), None);
    }

    #[test]
    fn every_pixel_keeps_its_colours_however_many_there_are() {
        for count in 0..20_u8 {
            let pixels: Vec<u8> = (0..count).flat_map(|n| [n, n + 50, n + 100, 255]).collect();
            let frame = Frame { area: Rect::new(0, 0, count.into(), 1), pixels };
            let rgb: Vec<u8> = (0..count).flat_map(|n| [n + 100, n + 50, n]).collect();
            assert_eq!(frame.rgb(), rgb, "{count}");
        }
    }
}
