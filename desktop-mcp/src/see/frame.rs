//! A part of the screen as it was at one moment.

use crate::geometry::Rect;

/// Bytes of a pixel: blue, green, red and one that says nothing.
pub const PIXEL: usize = 4;

/// A part of the screen, row after row without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        for (to, from) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(self.pixels.as_chunks::<PIXEL>().0) {
            *to = [from[2], from[1], from[0]];
        }
        rgb
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
}
