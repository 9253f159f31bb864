//! Front matter: YAML between two lines of `---` at the top of a Markdown file.

use serde::de::DeserializeOwned;

use super::Problem;
use super::problem::yaml;

/// Longest front matter in bytes.
const LONGEST: usize = 16 << 10;

/// The front matter, if there is any, and the text below it.
///
/// # Errors
/// It does not end, is too long, or is not what `T` is, with its line.
pub(super) fn split<T: DeserializeOwned>(path: &str, text: &str) -> Result<(Option<T>, String), Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else {
        return Ok((None, text.to_owned()));
    };
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            let text = rest.get(..end).unwrap_or_default();
            let body = rest.get(end + line.len()..).unwrap_or_default();
            return Ok((Some(yaml(path, text, 1)?), body.trim_start_matches(['\r', '\n']).to_owned()));
        }
        end += line.len();
        if end > LONGEST {
            return Err(Problem::at(path, 1, format!("its front matter is longer than {LONGEST} bytes")));
        }
    }
    Err(Problem::at(path, 1, "its front matter has no end: a line `---` is missing"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Map = BTreeMap<String, String>;

    #[test]
    fn the_text_is_what_stands_below() {
        let (front, body) = split::<Map>("f", "---\na: b\n---\n\nText\n---\nmore\n").unwrap();
        assert_eq!((front.unwrap()["a"].as_str(), body.as_str()), ("b", "Text\n---\nmore\n"));
        let (front, body) = split::<Map>("f", "Text\n").unwrap();
        assert_eq!((front, body.as_str()), (None, "Text\n"));
        let (front, body) = split::<Map>("f", "\u{feff}---\r\na: b\r\n---\r\nText").unwrap();
        assert_eq!((front.unwrap()["a"].as_str(), body.as_str()), ("b", "Text"));
        assert_eq!(split::<Map>("f", "---\n---\nx").unwrap(), (Some(Map::new()), "x".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let wrong = "---\na: b\nc: [1\n---\n";
        let problem = split::<Map>("f", wrong).unwrap_err();
        assert!(problem.line.is_some_and(|line| line >= 3), "{problem}");
        assert_eq!(split::<Map>("f", "---\na: b\n").unwrap_err().line, Some(1));
        let long = format!("---\na: {}\nb: c\n---\n", "x".repeat(20_000));
        assert!(split::<Map>("f", &long).unwrap_err().message.contains("longer"));
    }

    #[test]
    fn aliases_do_not_grow_beyond_bounds() {
        let mut bomb = "---\na: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        let mut last = 'a';
        for name in 'b'..='p' {
            bomb.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{last}"); 10].join(", ")));
            last = name;
        }
        bomb.push_str("---\n");
        assert!(split::<BTreeMap<String, serde_json::Value>>("f", &bomb).is_err());
    }
}
