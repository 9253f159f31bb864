//! What came back, as text: its character set, and HTML as a reader sees it.

use encoding_rs::Encoding;

use crate::error::{Code, Problem, Result};

/// Columns of text made of HTML: lines are not broken before, so that a search finds what belongs together.
const WIDTH: usize = 200;
/// Bytes at the beginning in which a page says what its character set is.
const HEAD: usize = 1024;
/// Elements that may be open at once: what is nested deeper is not a page but an attack on its readers.
const MAX_DEPTH: usize = 2000;

/// What kind of thing a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTML.
    Page,
    /// Text that is shown as it is.
    Text,
    /// A picture that models see.
    Picture(&'static str),
    /// Everything else.
    Data,
}

/// What a body is, by its header, and by its content where that says nothing.
pub fn kind(said: &str, body: &[u8]) -> Kind {
    let head = &body[..body.len().min(HEAD)];
    match said {
        "text/html" | "application/xhtml+xml" => return Kind::Page,
        "image/png" => return Kind::Picture("image/png"),
        "image/jpeg" => return Kind::Picture("image/jpeg"),
        "image/gif" => return Kind::Picture("image/gif"),
        "image/webp" => return Kind::Picture("image/webp"),
        _ => {}
    }
    let plain = said.starts_with("text/")
        || ["json", "xml", "yaml", "javascript", "toml", "x-sh"].iter().any(|word| said.ends_with(word));
    if plain {
        return Kind::Text;
    }
    if said.is_empty() && !head.contains(&0) {
        let begin = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
        let page = begin.starts_with("<!doctype html") || begin.starts_with("<html");
        return if page { Kind::Page } else { Kind::Text };
    }
    Kind::Data
}

/// Bytes as text, by the header's character set, a page's own, or UTF-8.
pub fn decode(body: &[u8], charset: Option<&str>) -> String {
    let own = || {
        let head = String::from_utf8_lossy(&body[..body.len().min(HEAD)]).to_ascii_lowercase();
        let rest = head.split("charset=").nth(1)?.trim_start_matches(['"', '\'']);
        let name: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        Encoding::for_label(name.as_bytes())
    };
    let said = charset.and_then(|name| Encoding::for_label(name.as_bytes()));
    let encoding = said.or_else(own).unwrap_or(encoding_rs::UTF_8);
    encoding.decode(body).0.into_owned()
}

/// HTML as a reader sees it, with the addresses of links at the end.
///
/// # Errors
/// `fetch_failed`.
pub fn readable(html: &str) -> Result<String> {
    let wrong = |why: &str| {
        Problem::new(Code::FetchFailed, format!("the page cannot be read as text: {why}"))
            .field("raw")
            .hint("fetch it with raw=true")
    };
    if depth(html) > MAX_DEPTH {
        return Err(wrong("its elements are nested too deeply"));
    }
    let config = html2text::config::plain().allow_width_overflow().no_table_borders().no_link_wrapping();
    let text = config.string_from_read(html.as_bytes(), WIDTH).map_err(|error| wrong(&error.to_string()))?;
    Ok(tidy(&text))
}

/// At most so many elements are open at once, counted without understanding the page: the parsers of such pages recurse.
fn depth(html: &str) -> usize {
    let (mut open, mut most) = (0usize, 0);
    let bytes = html.as_bytes();
    for at in memchr::memchr_iter(b'<', bytes) {
        match bytes.get(at + 1) {
            Some(b'/') => open = open.saturating_sub(1),
            Some(next) if next.is_ascii_alphabetic() && !is_void(&bytes[at + 1..]) => open += 1,
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Elements without an end, and those whose end is mostly left out.
fn is_void(rest: &[u8]) -> bool {
    const VOID: [&str; 18] = [
        "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta",
        "option", "p", "source", "track", "wbr",
    ];
    let end = rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let name = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
    VOID.contains(&name.as_str())
}

/// No blanks at ends of lines, and no more than one empty line.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty = 1;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_people_do() {
        let html = "<html><head><title>T</title><style>x{}</style></head><body><script>evil()</script>\
                    <h1>Title</h1><p>One <b>two</b> <a href=\"https://example.org/x\">three</a>.</p>\
                    <ul><li>a</li><li>b &amp; c</li></ul><pre>  let x = 1;\n  y</pre></body></html>";
        let text = readable(html).unwrap();
        for part in ["Title", "three", "https://example.org/x", "* a", "b & c", "  let x = 1;\n  y"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("evil") && !text.contains("x{}"), "{text}");
    }

    #[test]
    fn wicked_pages_do_no_harm() {
        let deep = "<div>".repeat(200_000) + "x";
        assert!(readable(&deep).is_err());
        for html in [
            "<div>".repeat(MAX_DEPTH - 1) + "x",
            "<b><i>".repeat(900) + "x",
            "<table><tr><td>".repeat(60) + "x",
            "<table>".to_owned() + &"<tr><td>a<td>b".repeat(20_000),
            "<blockquote>".repeat(500) + "x",
            "<ul><li>".repeat(400) + "x",
            "<p>".repeat(100_000),
            "<".repeat(100_000),
            "<a".repeat(10_000),
            "\0\u{1}<p>\0".to_owned(),
            String::new(),
        ] {
            let begun = std::time::Instant::now();
            let _ = readable(&html);
            assert!(begun.elapsed().as_secs() < 20, "{}", &html[..html.len().min(40)]);
        }
    }

    #[test]
    fn character_sets_are_read_from_header_and_page() {
        assert_eq!(decode(b"caf\xe9", Some("latin1")), "café");
        assert_eq!(
            decode(b"<meta charset=\"iso-8859-1\">caf\xe9", None),
            "<meta charset=\"iso-8859-1\">café"
        );
        assert_eq!(decode("ü".as_bytes(), Some("nonsense")), "ü");
        assert_eq!(decode(b"\xff\xfea\0b\0", None), "ab", "a mark at the beginning counts");
    }

    #[test]
    fn kinds_are_told_by_header_or_content() {
        for (said, body, want) in [
            ("text/html", &b""[..], Kind::Page),
            ("application/ld+json", b"{}", Kind::Text),
            ("image/svg+xml", b"<svg/>", Kind::Text),
            ("image/png", b"x", Kind::Picture("image/png")),
            ("application/pdf", b"%PDF", Kind::Data),
            ("", b"  <!DOCTYPE HTML>", Kind::Page),
            ("", b"hello", Kind::Text),
            ("", b"\0\x01", Kind::Data),
        ] {
            assert_eq!(kind(said, body), want, "{said} {body:?}");
        }
    }
}
