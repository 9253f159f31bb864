//! What is different between two frames.

use serde::Serialize;

use super::frame::{Frame, PIXEL};
use crate::geometry::Rect;

/// Side of the squares in which changes are looked for.
const TILE: usize = 32;
/// Most rectangles that are told; more are joined.
const MOST: usize = 8;

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Change {
    /// Nothing.
    None,
    /// Something within these rectangles, exact at their edges.
    Within(Vec<Rect>),
    /// The frames do not show the same part of the screen.
    Incomparable,
}

/// Compares two frames.
pub fn changes(before: &Frame, after: &Frame) -> Change {
    if before.area != after.area {
        return Change::Incomparable;
    }
    if before.pixels == after.pixels {
        return Change::None;
    }
    let mut found = tiles(before, after);
    join(&mut found);
    let origin = after.area;
    let place = |rect: &Rect| Rect::new(origin.x + rect.x, origin.y + rect.y, rect.width, rect.height);
    Change::Within(found.iter().map(place).collect())
}

/// For each square with a change the smallest rectangle around it, relative to the frame.
fn tiles(before: &Frame, after: &Frame) -> Vec<Rect> {
    let columns = (after.area.width as usize).div_ceil(TILE);
    let mut found: Vec<Option<Rect>> = Vec::new();
    for (y, (old, new)) in before.rows().zip(after.rows()).enumerate() {
        let first = y / TILE * columns;
        found.resize(first + columns, None);
        if old == new {
            continue;
        }
        let chunks = old.chunks(TILE * PIXEL).zip(new.chunks(TILE * PIXEL));
        for (column, (old, new)) in chunks.enumerate().filter(|(_, (old, new))| old != new) {
            let differs = |x: &usize| old[x * PIXEL..(x + 1) * PIXEL] != new[x * PIXEL..(x + 1) * PIXEL];
            let pixels = new.len() / PIXEL;
            let left = (0..pixels).find(differs).unwrap_or(0);
            let right = (0..pixels).rfind(differs).unwrap_or(left);
            let row = small(column * TILE + left, y, right - left + 1);
            let tile = &mut found[first + column];
            *tile = Some(tile.map_or(row, |known| known.with(&row)));
        }
    }
    found.into_iter().flatten().collect()
}

fn small(x: usize, y: usize, width: usize) -> Rect {
    let number = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
    Rect::new(number(x), number(y), number(width).unsigned_abs(), 1)
}

/// Joins what is near to one another, and then whatever costs the least area, until few are left.
fn join(rects: &mut Vec<Rect>) {
    let mut near = TILE as i32 / 2;
    loop {
        let mut index = 0;
        while index < rects.len() {
            let grown = Rect::new(
                rects[index].x - near,
                rects[index].y - near,
                rects[index].width + 2 * near.unsigned_abs(),
                rects[index].height + 2 * near.unsigned_abs(),
            );
            let other = (index + 1..rects.len()).find(|other| grown.common(&rects[*other]).is_some());
            match other {
                Some(other) => {
                    let other = rects.swap_remove(other);
                    rects[index] = rects[index].with(&other);
                }
                None => index += 1,
            }
        }
        if rects.len() <= MOST {
            return;
        }
        near *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(points: &[(i32, i32)]) -> Frame {
        let area = Rect::new(5, 7, 200, 150);
        let mut pixels = vec![0; 200 * 150 * PIXEL];
        for (x, y) in points {
            pixels[((y - 7) * 200 + (x - 5)) as usize * PIXEL] = 1;
        }
        Frame { area, pixels }
    }

    #[test]
    fn changes_are_told_exactly_and_apart_when_they_are() {
        let old = frame(&[]);
        assert_eq!(changes(&old, &old.clone()), Change::None);
        let one = changes(&old, &frame(&[(20, 30), (26, 33)]));
        assert_eq!(one, Change::Within(vec![Rect::new(20, 30, 7, 4)]));
        let Change::Within(two) = changes(&old, &frame(&[(10, 10), (190, 140)])) else { panic!("changed") };
        assert_eq!(two, [Rect::new(10, 10, 1, 1), Rect::new(190, 140, 1, 1)]);
        let other = Frame { area: Rect::new(0, 0, 200, 150), ..old.clone() };
        assert_eq!(changes(&old, &other), Change::Incomparable);
    }

    #[test]
    fn many_changes_are_joined_and_none_is_lost() {
        let points: Vec<(i32, i32)> = (0..40).map(|n| (6 + n % 8 * 24, 8 + n / 8 * 28)).collect();
        let Change::Within(rects) = changes(&frame(&[]), &frame(&points)) else { panic!("changed") };
        assert!(rects.len() <= MOST);
        assert!(points.iter().all(|(x, y)| rects.iter().any(|rect| rect.contains(*x, *y))));
    }
}
