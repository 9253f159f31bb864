//! Which key with which modifiers gives which symbol, read from the X server's map for the group in use.

use std::collections::HashMap;

use x11rb::protocol::xkb::{ConnectionExt as _, GetMapReply, ID, KeySymMap, KeyType, MapPart, VMod};
use x11rb::protocol::xproto::{ConnectionExt as _, ModMask};
use xkeysym::Keysym;

use super::plan::Given;
use crate::error::{Result, x_failed};
use crate::x::Display;

/// The keyboard that all others move.
const CORE_KEYBOARD: u16 = 0x100;
/// Modifiers that change what a lock key gave, and must not be needed to type.
const CAPS: u8 = 1 << 1;
/// Vendors' keys (volume, browser, launch…): nobody presses them on a screen without a keyboard.
const VENDOR: std::ops::RangeInclusive<u32> = 0x1008_ff00..=0x1008_ffff;

/// Keys that Chromium knows by their number, whatever they give: it would go back, load anew or do other things when
/// they give a character that it has no code for.
const KNOWN_BY_NUMBER: [u8; 16] =
    [8, 93, 97, 103, 121, 122, 123, 124, 128, 132, 166, 167, 181, 212, 232, 233];

/// A key with the modifiers that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stroke {
    /// The key.
    pub code: u8,
    /// Modifiers that must be down, a bit each.
    pub modifiers: u8,
}

/// A keyboard's map.
#[derive(Debug, Default)]
pub struct Keymap {
    symbols: HashMap<u32, Stroke>,
    characters: HashMap<char, Stroke>,
    /// Keys that give a symbol in another group.
    elsewhere: HashMap<u32, u8>,
    /// For each modifier a key that holds it.
    holders: [Option<u8>; 8],
    /// Keys that give nothing of use and may be given other symbols.
    pub blank: Vec<u8>,
    /// What each key gives, without modifiers first.
    given: HashMap<u8, Given>,
    /// Locked modifiers.
    pub locked: u8,
}

impl Keymap {
    /// Reads it.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub fn read(display: &Display) -> Result<Self> {
        let conn = &display.conn;
        let keyboard = ID::USE_CORE_KBD.into();
        let parts = MapPart::KEY_TYPES | MapPart::KEY_SYMS;
        let none = MapPart::from(0_u16);
        let map = conn
            .xkb_get_map(keyboard, parts, none, 0, 0, 0, 0, 0, 0, 0, 0, VMod::from(0_u16), 0, 0, 0, 0, 0, 0)
            .map_err(x_failed)?;
        let state = conn.xkb_get_state(keyboard).map_err(x_failed)?;
        let modifiers = conn.get_modifier_mapping().map_err(x_failed)?;
        let (map, state) = (map.reply().map_err(x_failed)?, state.reply().map_err(x_failed)?);
        let modifiers = modifiers.reply().map_err(x_failed)?.keycodes;
        debug_assert_eq!(u16::from(ID::USE_CORE_KBD), CORE_KEYBOARD);
        let mut keymap = Self {
            locked: u8::try_from(u16::from(state.locked_mods)).unwrap_or_default(),
            ..Self::default()
        };
        keymap.fill(&map, usize::from(u8::from(state.group)), &modifiers);
        Ok(keymap)
    }

    fn fill(&mut self, map: &GetMapReply, group: usize, modifiers: &[u8]) {
        let empty = Vec::new();
        let types = map.map.types_rtrn.as_ref().unwrap_or(&empty);
        let keys = map.map.syms_rtrn.as_deref().unwrap_or_default();
        self.holders = holders(modifiers, keys, map.first_key_sym);
        for (offset, key) in keys.iter().enumerate() {
            let Ok(code) = u8::try_from(usize::from(map.first_key_sym) + offset) else { break };
            let groups = usize::from(key.group_info & 0x0f);
            if !modifiers.contains(&code) && !KNOWN_BY_NUMBER.contains(&code) && is_blank(key) {
                self.blank.push(code);
            }
            for index in 0..groups {
                let kind = types.get(usize::from(key.kt_index[index.min(3)]));
                // A group that a key does not have wraps around.
                let in_use = index == group % groups.max(1);
                self.add_group(code, key, index, kind.filter(|_| in_use));
            }
        }
    }

    fn add_group(&mut self, code: u8, key: &KeySymMap, index: usize, kind: Option<&KeyType>) {
        let width = usize::from(key.width);
        let symbols = key.syms.get(index * width..(index + 1) * width).unwrap_or_default();
        for (level, symbol) in symbols.iter().copied().enumerate().filter(|(_, symbol)| *symbol != 0) {
            let Some(kind) = kind else {
                self.elsewhere.entry(symbol).or_insert(code);
                continue;
            };
            let Some(modifiers) = modifiers_for(kind, level).filter(|mask| self.can_hold(*mask)) else {
                continue;
            };
            let stroke = Stroke { code, modifiers };
            let simpler = |known: &Stroke| known.modifiers.count_ones() > modifiers.count_ones();
            let known = self.symbols.entry(symbol).or_insert(stroke);
            if simpler(known) {
                *known = stroke;
            }
            if let Some(character) = Keysym::new(symbol).key_char().filter(|c| !c.is_control()) {
                let given = self.given.entry(code).or_default();
                if !given.contains(&character) {
                    given.push(character);
                }
                let known = self.characters.entry(character).or_insert(stroke);
                if simpler(known) {
                    *known = stroke;
                }
            }
        }
    }

    fn can_hold(&self, modifiers: u8) -> bool {
        (0..8).all(|bit| modifiers & 1 << bit == 0 || self.holders[bit].is_some())
    }

    /// How a symbol is typed in the group in use.
    pub fn symbol(&self, symbol: u32) -> Option<Stroke> {
        let direct = self.symbols.get(&symbol).copied();
        direct.or_else(|| self.character(Keysym::new(symbol).key_char()?))
    }

    /// The key that gives a symbol in whatever group, for chords: programs know shortcuts by the key.
    pub fn key_of(&self, symbol: u32) -> Option<u8> {
        self.elsewhere.get(&symbol).copied()
    }

    /// Characters of a key in the group in use.
    pub fn given(&self, code: u8) -> Given {
        self.given.get(&code).cloned().unwrap_or_default()
    }

    /// How a character is typed in the group in use.
    pub fn character(&self, character: char) -> Option<Stroke> {
        self.characters.get(&character).copied()
    }

    /// Keys that hold these modifiers down.
    pub fn holders(&self, modifiers: u8) -> impl Iterator<Item = u8> {
        (0..8).filter(move |bit| modifiers & 1 << bit != 0).filter_map(|bit| self.holders[bit])
    }

    /// Whether Caps Lock would change what is typed.
    pub fn caps_locked(&self) -> bool {
        self.locked & CAPS != 0
    }
}

/// Modifiers that choose a level of a kind of key; those with the fewest keys, and no lock.
fn modifiers_for(kind: &KeyType, level: usize) -> Option<u8> {
    if level == 0 {
        return Some(0);
    }
    let entries = kind.map.iter().filter(|entry| entry.active && usize::from(entry.level) == level);
    let masks = entries.map(|entry| u8::try_from(u16::from(entry.mods_mask)).unwrap_or_default());
    masks.filter(|mask| mask & CAPS == 0).min_by_key(|mask| mask.count_ones())
}

fn is_blank(key: &KeySymMap) -> bool {
    key.syms.iter().all(|symbol| *symbol == 0 || VENDOR.contains(symbol))
}

/// The first key of each modifier; the real Shift rather than something that acts as one.
fn holders(modifiers: &[u8], keys: &[KeySymMap], first: u8) -> [Option<u8>; 8] {
    let per = modifiers.len() / 8;
    let mut holders = [None; 8];
    for (bit, codes) in modifiers.chunks_exact(per.max(1)).take(8).enumerate() {
        let has_symbol = |code: u8| {
            let key = code.checked_sub(first).and_then(|index| keys.get(usize::from(index)));
            key.is_some_and(|key| key.syms.iter().any(|symbol| *symbol != 0))
        };
        holders[bit] = codes.iter().copied().find(|code| *code != 0 && has_symbol(*code));
    }
    // Lock and Num Lock are not held but switched.
    holders[1] = None;
    debug_assert_eq!(u16::from(ModMask::LOCK), 1 << 1);
    holders
}
