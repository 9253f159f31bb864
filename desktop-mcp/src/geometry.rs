//! Places on the screen and in pictures of it. A picture may be smaller than what it shows; a place in it is then
//! translated to the middle of the pixels that it stands for.

use serde::Serialize;

/// A rectangle in pixels of the screen; may lie outside in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Rect {
    /// From corner and size.
    pub const fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Self { x, y, width, height }
    }

    /// Holds every screen, whatever size it gets.
    pub const EVERYWHERE: Self = Self::new(0, 0, i32::MAX.cast_unsigned(), i32::MAX.cast_unsigned());

    /// The column behind the last.
    pub fn right(&self) -> i32 {
        self.x.saturating_add_unsigned(self.width)
    }

    /// The row behind the last.
    pub fn bottom(&self) -> i32 {
        self.y.saturating_add_unsigned(self.height)
    }

    /// Whether a point is in it.
    pub fn contains(&self, x: i32, y: i32) -> bool {
        x >= self.x && y >= self.y && x < self.right() && y < self.bottom()
    }

    /// What both have in common; nothing when they only touch.
    pub fn common(&self, other: &Self) -> Option<Self> {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let (right, bottom) = (self.right().min(other.right()), self.bottom().min(other.bottom()));
        (right > x && bottom > y).then(|| Self::new(x, y, x.abs_diff(right), y.abs_diff(bottom)))
    }

    /// The smallest that holds both.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let (right, bottom) = (self.right().max(other.right()), self.bottom().max(other.bottom()));
        Self::new(x, y, x.abs_diff(right), y.abs_diff(bottom))
    }

    /// The middle.
    pub fn center(&self) -> (i32, i32) {
        (self.x.saturating_add_unsigned(self.width / 2), self.y.saturating_add_unsigned(self.height / 2))
    }
}

/// A picture: which part of the screen it shows, and how large it is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// What it shows.
    pub area: Rect,
    /// Columns of the picture.
    pub width: u32,
    /// Rows of the picture.
    pub height: u32,
}

impl Mapping {
    /// A picture of `area` of which neither side is longer than `longest`; never enlarged.
    pub fn fit(area: Rect, longest: u32) -> Self {
        let side = area.width.max(area.height);
        if side <= longest {
            return Self { area, width: area.width, height: area.height };
        }
        let shrink = |length: u32| {
            let scaled = (u64::from(length) * u64::from(longest) + u64::from(side) / 2) / u64::from(side);
            u32::try_from(scaled).unwrap_or(longest).max(1)
        };
        Self { area, width: shrink(area.width), height: shrink(area.height) }
    }

    /// Whether a pixel of the picture is a pixel of the screen.
    pub fn is_exact(&self) -> bool {
        (self.width, self.height) == (self.area.width, self.area.height)
    }

    /// A place in the picture as a place on the screen; none outside of it.
    pub fn to_screen(&self, x: i32, y: i32) -> Option<(i32, i32)> {
        let inside = Rect::new(0, 0, self.width, self.height).contains(x, y);
        inside.then(|| {
            let dx = middle(x, self.area.width, self.width);
            let dy = middle(y, self.area.height, self.height);
            (self.area.x + dx, self.area.y + dy)
        })
    }

    /// A rectangle in the picture as one on the screen that holds all of it.
    pub fn rect_to_screen(&self, rect: Rect) -> Rect {
        let x = |value: i32| self.area.x + scale(value, self.area.width, self.width, false);
        let y = |value: i32| self.area.y + scale(value, self.area.height, self.height, false);
        let right = self.area.x + scale(rect.right(), self.area.width, self.width, true);
        let bottom = self.area.y + scale(rect.bottom(), self.area.height, self.height, true);
        let (left, top) = (x(rect.x), y(rect.y));
        Rect::new(left, top, left.abs_diff(right.max(left)), top.abs_diff(bottom.max(top)))
    }

    /// A place on the screen as one in the picture, perhaps outside of it.
    pub fn to_picture(&self, x: i32, y: i32) -> (i32, i32) {
        (
            middle(x - self.area.x, self.width, self.area.width),
            middle(y - self.area.y, self.height, self.area.height),
        )
    }

    /// A rectangle on the screen as one in the picture.
    pub fn rect_to_picture(&self, rect: Rect) -> Rect {
        let x = scale(rect.x - self.area.x, self.width, self.area.width, false);
        let y = scale(rect.y - self.area.y, self.height, self.area.height, false);
        let right = scale(rect.right() - self.area.x, self.width, self.area.width, true);
        let bottom = scale(rect.bottom() - self.area.y, self.height, self.area.height, true);
        Rect::new(x, y, x.abs_diff(right.max(x)), y.abs_diff(bottom.max(y)))
    }
}

/// The middle of the pixels that pixel `value` of `from` stands for among `to`.
fn middle(value: i32, to: u32, from: u32) -> i32 {
    let (value, to, from) = (i64::from(value), i64::from(to), i64::from(from.max(1)));
    i32::try_from(((2 * value + 1) * to).div_euclid(2 * from)).unwrap_or(i32::MAX)
}

/// `value * to / from`, rounded down or up.
fn scale(value: i32, to: u32, from: u32, up: bool) -> i32 {
    let (product, from) = (i64::from(value) * i64::from(to), i64::from(from.max(1)));
    let scaled = if up { -(-product).div_euclid(from) } else { product.div_euclid(from) };
    i32::try_from(scaled).unwrap_or(if scaled < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rectangles_meet_and_join() {
        let (a, b) = (Rect::new(0, 0, 10, 10), Rect::new(5, -5, 10, 10));
        assert_eq!(a.common(&b), Some(Rect::new(5, 0, 5, 5)));
        assert_eq!(a.with(&b), Rect::new(0, -5, 15, 15));
        assert_eq!(a.common(&Rect::new(10, 0, 5, 5)), None, "they only touch");
        assert_eq!(Rect::EVERYWHERE.common(&a), Some(a));
        assert!(a.contains(9, 9) && !a.contains(10, 9) && !a.contains(-1, 0));
    }

    #[test]
    fn a_picture_is_shrunk_to_fit_and_never_enlarged() {
        let screen = Rect::new(0, 0, 1920, 1080);
        let mapping = Mapping::fit(screen, 1568);
        assert_eq!((mapping.width, mapping.height, mapping.is_exact()), (1568, 882, false));
        assert!(Mapping::fit(Rect::new(3, 4, 100, 80), 1568).is_exact());
        assert_eq!(mapping.to_screen(0, 0), Some((0, 0)));
        assert_eq!(mapping.to_screen(1567, 881), Some((1919, 1079)));
        assert_eq!(mapping.to_screen(1568, 0), None);
        assert_eq!(mapping.to_screen(-1, 0), None);
    }

    proptest! {
        #[test]
        fn a_place_comes_back_to_its_pixel(
            width in 1_u32..4000, height in 1_u32..4000, longest in 1_u32..4000, x in 0_u32..4000, y in 0_u32..4000,
            left in -100_i32..100, top in -100_i32..100,
        ) {
            let area = Rect::new(left, top, width, height);
            let mapping = Mapping::fit(area, longest);
            let (x, y) = ((x % mapping.width) as i32, (y % mapping.height) as i32);
            let (sx, sy) = mapping.to_screen(x, y).unwrap();
            prop_assert!(area.contains(sx, sy));
            prop_assert_eq!(mapping.to_picture(sx, sy), (x, y));
            let rect = mapping.rect_to_picture(Rect::new(sx, sy, 1, 1));
            prop_assert!(rect.contains(x, y));
            prop_assert!(mapping.rect_to_screen(Rect::new(x, y, 1, 1)).contains(sx, sy));
        }
    }
}
