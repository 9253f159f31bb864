//! Lines of words with their places, out of Tesseract's table.

use crate::geometry::{Mapping, Rect};

/// Words that Tesseract is less sure of, in percent, are noise.
const LEAST_SURE: f32 = 30.0;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text.
    pub text: String,
    /// Where it is on the screen.
    pub place: Rect,
}

/// Words on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From left to right.
    pub words: Vec<Word>,
}

/// Words that were found, or a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As they were read.
    pub text: String,
    /// Where on the screen.
    pub place: Rect,
}

impl Found {
    /// As tools tell it: the middle is where to click.
    pub fn told(&self, view: &Mapping) -> String {
        let (x, y) = view.to_picture(self.place.center().0, self.place.center().1);
        let place = view.rect_to_picture(self.place);
        format!("{:?} at {x},{y} ({}x{})", self.text, place.width, place.height)
    }
}

impl Line {
    /// All words.
    pub fn whole(&self) -> Option<Found> {
        found(&self.words)
    }
}

fn found(words: &[Word]) -> Option<Found> {
    let place = words.iter().map(|word| word.place).reduce(|all, place| all.with(&place))?;
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    Some(Found { text: texts.join(" "), place })
}

/// Reads the table. The picture shows the screen from `corner` on, `scale` times as large.
pub fn parse(table: &str, corner: (i32, i32), scale: u32) -> Vec<Line> {
    let mut lines: Vec<(&str, Line)> = Vec::new();
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let [level, ..] = cells[..] else { continue };
        if level != "5" || cells.len() < 12 {
            continue;
        }
        let Some(word) = word(&cells, corner, scale) else { continue };
        // Page, block, paragraph and line, as they stand in the row.
        let start = cells[0].len() + 1;
        let length = cells[1..5].iter().map(|cell| cell.len() + 1).sum::<usize>();
        let key = row.get(start..start + length).unwrap_or_default();
        match lines.last_mut() {
            Some((last, line)) if *last == key => line.words.push(word),
            _ => lines.push((key, Line { words: vec![word] })),
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

fn word(cells: &[&str], (x, y): (i32, i32), scale: u32) -> Option<Word> {
    let text = cells[11].trim();
    let sure: f32 = cells[10].parse().ok()?;
    if text.is_empty() || sure < LEAST_SURE {
        return None;
    }
    let number = |at: usize| cells[at].parse::<u32>().ok();
    let (left, top) = (number(6)? / scale, number(7)? / scale);
    let (width, height) = (number(8)?.div_ceil(scale), number(9)?.div_ceil(scale));
    let place = Rect::new(x.checked_add_unsigned(left)?, y.checked_add_unsigned(top)?, width, height);
    Some(Word { text: text.to_owned(), place })
}

/// Where the words stand, each time; case does not matter, nor where words are parted.
pub fn find(lines: &[Line], words: &str) -> Vec<Found> {
    let wanted = squeezed(words);
    if wanted.is_empty() {
        return Vec::new();
    }
    lines.iter().flat_map(|line| find_in(line, &wanted)).collect()
}

fn find_in(line: &Line, wanted: &str) -> Vec<Found> {
    // The line without gaps, and to which word each of its bytes belongs.
    let (mut text, mut owners) = (String::new(), Vec::new());
    for (at, word) in line.words.iter().enumerate() {
        let squeezed = squeezed(&word.text);
        owners.extend(std::iter::repeat_n(at, squeezed.len()));
        text.push_str(&squeezed);
    }
    let matches = text.match_indices(wanted);
    matches
        .filter_map(|(at, fit)| {
            let (first, last) = (*owners.get(at)?, *owners.get(at + fit.len() - 1)?);
            found(line.words.get(first..=last)?)
        })
        .collect()
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
        1\t1\t0\t0\t0\t0\t0\t0\t200\t100\t-1\t\n\
        5\t1\t1\t1\t1\t1\t20\t10\t41\t20\t96.5\tHello\n\
        5\t1\t1\t1\t1\t2\t70\t10\t50\t20\t91\tWorld!\n\
        5\t1\t1\t1\t1\t3\t130\t10\t5\t20\t3\t|\n\
        5\t1\t1\t1\t2\t1\t20\t40\t40\t20\t95\tBye\n\
        5\t1\t1\t1\t2\n";

    #[test]
    fn words_have_places_on_the_screen_and_noise_is_dropped() {
        let lines = parse(TABLE, (100, 200), 2);
        let texts: Vec<_> = lines.iter().map(|line| line.whole().unwrap().text).collect();
        assert_eq!(texts, ["Hello World!", "Bye"]);
        assert_eq!(lines[0].words[0].place, Rect::new(110, 205, 21, 10));
        assert_eq!(parse("", (0, 0), 1), []);
    }

    #[test]
    fn words_are_found_whatever_their_case_and_gaps() {
        let lines = parse(TABLE, (0, 0), 1);
        for (words, text) in
            [("hello", "Hello"), ("o w", "Hello World!"), ("HelloWorld", "Hello World!"), ("BYE", "Bye")]
        {
            assert_eq!(find(&lines, words)[0].text, text, "{words}");
        }
        assert!(find(&lines, "zebra").is_empty() && find(&lines, " ").is_empty());
        assert_eq!(find(&lines, "world")[0].place, Rect::new(70, 10, 50, 20));
    }
}
