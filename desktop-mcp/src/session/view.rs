//! What a model sees of the screen, and how it names places on it. All places, in all tools, are in pixels of the whole
//! screen's picture, which is smaller than the screen when that is larger than models take; or in pixels of a picture
//! that is named by its number.

use std::collections::VecDeque;

use crate::error::{Code, Problem, Result};
use crate::geometry::{Mapping, Rect};

/// Longest side of pictures that models see without shrinking them again.
pub const LONGEST_SIDE: u32 = 1568;
/// How many pictures can still be referred to.
const REMEMBERED: usize = 64;

/// A picture that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// By which a place in it is given.
    pub number: u32,
    /// What it shows.
    pub mapping: Mapping,
}

/// Mappings of a desktop.
#[derive(Debug)]
pub struct View {
    whole: Mapping,
    longest: u32,
    shown: VecDeque<Picture>,
    last: u32,
}

impl View {
    /// Of a screen.
    pub fn new(screen: Rect, longest: u32) -> Self {
        Self { whole: Mapping::fit(screen, longest), longest, shown: VecDeque::new(), last: 0 }
    }

    /// The screen has another size: older pictures show what is not there any more.
    pub fn resize(&mut self, screen: Rect) {
        if screen != self.whole.area {
            self.whole = Mapping::fit(screen, self.longest);
            self.shown.clear();
        }
    }

    /// The picture of the whole screen, in whose pixels places are given.
    pub fn whole(&self) -> Mapping {
        self.whole
    }

    /// Longest side of a picture.
    pub fn longest(&self) -> u32 {
        self.longest
    }

    /// Gives a picture its number.
    pub fn show(&mut self, mapping: Mapping) -> Picture {
        self.last += 1;
        let picture = Picture { number: self.last, mapping };
        if self.shown.len() == REMEMBERED {
            self.shown.pop_front();
        }
        self.shown.push_back(picture);
        picture
    }

    /// The mapping of a picture, or that of the screen.
    ///
    /// # Errors
    /// `unknown_picture`.
    pub fn mapping(&self, picture: Option<u32>) -> Result<Mapping> {
        let Some(number) = picture else { return Ok(self.whole) };
        let found = self.shown.iter().find(|shown| shown.number == number);
        found.map(|shown| shown.mapping).ok_or_else(|| {
            Problem::new(Code::UnknownPicture, format!("picture {number} is not known (any more)"))
                .field("picture")
        })
    }

    /// A place as it was given, on the screen.
    ///
    /// # Errors
    /// `off_screen`, `unknown_picture`.
    pub fn place(&self, field: &str, (x, y): (i32, i32), picture: Option<u32>) -> Result<(i32, i32)> {
        let mapping = self.mapping(picture)?;
        let place = mapping.to_screen(x, y);
        // A picture of a window may show what lies outside of the screen.
        place.filter(|(x, y)| self.whole.area.contains(*x, *y)).ok_or_else(|| {
            let what = if picture.is_some() { "picture" } else { "screen" };
            let (width, height) = (mapping.width, mapping.height);
            let message = format!("({x}, {y}) is not on the {what}, which has {width}x{height} pixels");
            Problem::new(Code::OffScreen, message).field(field)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_pixels_of_the_whole_picture_or_of_one_by_its_number() {
        let mut view = View::new(Rect::new(0, 0, 3136, 1000), LONGEST_SIDE);
        assert_eq!(view.place("coordinate", (10, 10), None).unwrap(), (21, 21));
        assert_eq!(view.place("coordinate", (1568, 0), None).unwrap_err().code, Code::OffScreen);
        let part = view.show(Mapping::fit(Rect::new(100, 50, 200, 100), LONGEST_SIDE));
        assert_eq!(view.place("coordinate", (10, 10), Some(part.number)).unwrap(), (110, 60));
        let code = |view: &View, at, picture| view.place("coordinate", at, picture).unwrap_err().code;
        assert_eq!(code(&view, (200, 0), Some(part.number)), Code::OffScreen);
        assert_eq!(code(&view, (0, 0), Some(9)), Code::UnknownPicture);
        let over_the_edge = view.show(Mapping::fit(Rect::new(-50, 0, 100, 100), LONGEST_SIDE));
        assert_eq!(code(&view, (10, 10), Some(over_the_edge.number)), Code::OffScreen);
        view.resize(Rect::new(0, 0, 800, 600));
        assert_eq!(code(&view, (0, 0), Some(part.number)), Code::UnknownPicture);
    }
}
