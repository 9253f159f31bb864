//! Names of keys, as xdotool takes them: those of X keysyms, and some that everybody uses.

use std::collections::HashMap;
use std::sync::OnceLock;

use xkeysym::{Keysym, key};

use crate::error::{Code, Problem, Result};

/// Most keys in one call.
const MOST: usize = 100;

/// Other names. The first four are xdotool's.
const ALIASES: [(&str, u32); 43] = [
    ("ctrl", key::Control_L),
    ("shift", key::Shift_L),
    ("alt", key::Alt_L),
    ("super", key::Super_L),
    ("control", key::Control_L),
    ("meta", key::Alt_L),
    ("altgr", key::ISO_Level3_Shift),
    ("option", key::Alt_L),
    ("win", key::Super_L),
    ("windows", key::Super_L),
    ("cmd", key::Super_L),
    ("command", key::Super_L),
    ("enter", key::Return),
    ("esc", key::Escape),
    ("del", key::Delete),
    ("ins", key::Insert),
    ("page_up", key::Page_Up),
    ("page_down", key::Page_Down),
    ("kp_page_up", key::KP_Page_Up),
    ("kp_page_down", key::KP_Page_Down),
    ("pageup", key::Page_Up),
    ("pgup", key::Page_Up),
    ("pagedown", key::Page_Down),
    ("pgdn", key::Page_Down),
    ("arrowup", key::Up),
    ("arrowdown", key::Down),
    ("arrowleft", key::Left),
    ("arrowright", key::Right),
    ("capslock", key::Caps_Lock),
    ("numlock", key::Num_Lock),
    ("scrolllock", key::Scroll_Lock),
    ("printscreen", key::Print),
    ("spacebar", key::space),
    ("dash", key::minus),
    ("dot", key::period),
    ("backtick", key::grave),
    ("quote", key::apostrophe),
    ("doublequote", key::quotedbl),
    ("tilde", key::asciitilde),
    ("pipe", key::bar),
    ("hash", key::numbersign),
    ("leftbracket", key::bracketleft),
    ("rightbracket", key::bracketright),
];

/// Keys that are pressed together: all but the last are held.
pub type Chord = Vec<u32>;

/// Reads `ctrl+shift+t`, or several chords with spaces between them.
///
/// # Errors
/// `unknown_key`, by its name; `invalid_argument` when there is none or too many.
pub fn chords(field: &str, text: &str) -> Result<Vec<Chord>> {
    let all: Vec<Chord> = text.split_whitespace().map(|word| chord(field, word)).collect::<Result<_>>()?;
    match all.len() {
        0 => Err(Problem::invalid(field, "no key is named")),
        1..=MOST => Ok(all),
        more => Err(Problem::invalid(field, format!("{more} keys are more than {MOST} at once"))),
    }
}

fn chord(field: &str, word: &str) -> Result<Chord> {
    // A plus is also a key: alone, or after another plus.
    let (held, last) = match word.strip_suffix("++") {
        Some(held) if !held.is_empty() => (held, "plus"),
        _ if word == "+" => ("", "plus"),
        _ => word.rsplit_once('+').unwrap_or(("", word)),
    };
    let names = held.split('+').filter(|name| !name.is_empty() || !held.is_empty()).chain([last]);
    let chord: Chord = names.map(|name| keysym(field, name)).collect::<Result<_>>()?;
    // Together with other keys a letter is its key: ctrl+C is what is printed in menus, not ctrl+shift+c.
    let letter = |symbol: &u32| (key::A..=key::Z).contains(symbol) && !held.is_empty();
    Ok(chord
        .into_iter()
        .map(|symbol| if letter(&symbol) { symbol + (key::a - key::A) } else { symbol })
        .collect())
}

fn keysym(field: &str, name: &str) -> Result<u32> {
    let mut chars = name.chars();
    let found = match (chars.next(), chars.next()) {
        (Some(single), None) if !single.is_control() => Some(keysym_of(single)),
        (None, _) => None,
        _ => named(name),
    };
    found.ok_or_else(|| Problem::new(Code::UnknownKey, format!("there is no key {name:?}")).field(field))
}

fn named(name: &str) -> Option<u32> {
    let lower = name.to_lowercase();
    let alias = || ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, keysym)| *keysym);
    let (exact, any_case) = table();
    exact.get(name).copied().or_else(alias).or_else(|| any_case.get(&lower).copied())
}

/// Keysyms by their names, as they are and in lower case.
type Table = (HashMap<&'static str, u32>, HashMap<String, u32>);

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let ranges =
            [0x20..=0xffff, 0x0100_0100..=0x0100_28ff, 0x1008_1000..=0x1008_12ff, 0x1008_fe00..=0x1008_ffff];
        let (mut exact, mut any_case) = (HashMap::new(), HashMap::new());
        for raw in ranges.into_iter().flatten() {
            let Some(name) = Keysym::new(raw).name() else { continue };
            let name = match name.strip_prefix("XK_") {
                Some(name) => name,
                // xdotool and X's own tools write XF86AudioMute.
                None => name,
            };
            exact.entry(name).or_insert(raw);
            any_case.entry(name.replace("XF86XK_", "XF86").to_lowercase()).or_insert(raw);
        }
        (exact, any_case)
    })
}

/// The keysym of a character.
pub fn keysym_of(character: char) -> u32 {
    match character {
        '\n' => key::Return,
        '\t' => key::Tab,
        other => match u32::from(other) {
            latin @ (0x20..=0x7e | 0xa0..=0xff) => latin,
            wide => 0x0100_0000 | wide,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_as_xdotool_and_models_name_them() {
        for (text, expected) in [
            ("Return", vec![vec![key::Return]]),
            ("ctrl+shift+t", vec![vec![key::Control_L, key::Shift_L, key::t]]),
            ("Ctrl+A", vec![vec![key::Control_L, key::a]]),
            ("A", vec![vec![key::A]]),
            ("ctrl++", vec![vec![key::Control_L, key::plus]]),
            ("+", vec![vec![key::plus]]),
            ("super", vec![vec![key::Super_L]]),
            ("page_down PageUp", vec![vec![key::Page_Down], vec![key::Page_Up]]),
            ("F5", vec![vec![key::F5]]),
            ("KP_Enter", vec![vec![key::KP_Enter]]),
            ("é", vec![vec![0xe9]]),
            ("ж", vec![vec![0x0100_0436]]),
            ("alt+minus", vec![vec![key::Alt_L, key::minus]]),
            ("XF86AudioMute", vec![vec![key::XF86_AudioMute]]),
        ] {
            assert_eq!(chords("text", text).unwrap(), expected, "{text}");
        }
        for number in 1..=24 {
            let expected = vec![vec![key::F1 + number - 1]];
            assert_eq!(chords("text", &format!("F{number}")).unwrap(), expected, "F{number}");
        }
        for wrong in ["NoSuchKey", "ctrl+", "ctrl+Nix"] {
            let problem = chords("text", wrong).unwrap_err();
            assert_eq!((problem.code, problem.field.as_deref()), (Code::UnknownKey, Some("text")), "{wrong}");
        }
        assert_eq!(chords("text", " ").unwrap_err().code, Code::InvalidArgument);
        assert_eq!(chords("text", &"a ".repeat(101)).unwrap_err().code, Code::InvalidArgument);
    }
}
