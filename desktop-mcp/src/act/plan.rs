//! How a text is typed of which not all characters are on the keyboard: spare keys are given them, as many at once as
//! there are spare keys, because programs take a while to notice each time. A pure rule.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What keys are given at the start of a desktop, when nobody has to notice: each pair is a key without and with Shift.
/// What is first is given up first.
const COMMON: &str = "αΑβΒγΓδΔεΕζΖηΗθΘιΙκΚλΛμΜνΝξΞοΟπΠρΡσΣτΤυΥφΦχΧψΨωΩςΆάέήίόύώΈ\
                      аАбБвВгГдДеЕёЁжЖзЗиИйЙкКлЛмМнНоОпПрРсСтТуУфФхХцЦчЧшШщЩъЪыЫьЬэЭюЮяЯ\
                      àÀáÁâÂãÃäÄåÅæÆçÇèÈéÉêÊëËìÌíÍîÎïÏñÑòÒóÓôÔõÕöÖøØùÙúÚûÛüÜ“”‘’„…–—«»€£ß°§·¿¡";

/// Characters of a key: without Shift, and perhaps with it.
pub type Given = Vec<char>;

/// Spare keys and what they give, least recently used first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spare(VecDeque<(u8, Given)>);

/// A piece of a text that can be typed at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What keys must be given before.
    pub assign: BTreeMap<u8, Given>,
    /// How many characters are then typed.
    pub length: usize,
}

impl Spare {
    /// Takes over what there is now: `blank` keys give nothing of use. A key that was given something stays spare for as
    /// long as it gives that; somebody may have loaded another map.
    pub fn refresh(&mut self, blank: &[u8], gives: impl Fn(u8) -> Given) {
        self.0.retain(|(code, given)| blank.contains(code) || (!given.is_empty() && gives(*code) == *given));
        for (code, given) in &mut self.0 {
            if blank.contains(code) {
                given.clear();
            }
        }
        for code in blank {
            if !self.0.iter().any(|(known, _)| known == code) {
                self.0.push_back((*code, Given::new()));
            }
        }
    }

    /// What is given to keys when a desktop starts.
    pub fn give_common(&mut self) -> BTreeMap<u8, Given> {
        let common: Vec<char> = COMMON.chars().collect();
        let pairs = common.chunks(2);
        let from = pairs.len().saturating_sub(self.0.len());
        for ((_, given), pair) in self.0.iter_mut().zip(pairs.skip(from)) {
            *given = pair.to_vec();
        }
        self.0.iter().filter(|(_, given)| !given.is_empty()).cloned().collect()
    }

    /// Whether a key is one of them.
    pub fn has(&self, code: u8) -> bool {
        self.0.iter().any(|(known, _)| *known == code)
    }

    /// The key that gives a character.
    fn key(&self, character: char) -> Option<u8> {
        self.0.iter().find(|(_, given)| given.contains(&character)).map(|(code, _)| *code)
    }

    /// Divides a text into batches; `typed` says which characters need no spare key. Afterwards keys give what the last
    /// batch leaves. Without any spare key the text ends at the first character that needs one.
    pub fn batches(&mut self, text: &[char], typed: impl Fn(char) -> bool) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let batch = self.batch(rest, &typed);
            if batch.length == 0 {
                break;
            }
            rest = &rest[batch.length..];
            batches.push(batch);
        }
        batches
    }

    fn batch(&mut self, text: &[char], typed: &impl Fn(char) -> bool) -> Batch {
        let mut batch = Batch { assign: BTreeMap::new(), length: 0 };
        // Keys that this batch needs as they are.
        let mut needed: BTreeSet<u8> = BTreeSet::new();
        // Given already and used further on: not given up as long as there are others.
        let later: BTreeSet<u8> = text.iter().filter_map(|character| self.key(*character)).collect();
        for character in text {
            if !typed(*character) {
                let code = match self.key(*character) {
                    Some(code) => code,
                    None => {
                        let free = |code: &u8| !needed.contains(code);
                        let Some(place) =
                            self.place(|code| free(code) && !later.contains(code)).or(self.place(free))
                        else {
                            break;
                        };
                        let (code, given) = &mut self.0[place];
                        *given = vec![*character];
                        batch.assign.insert(*code, given.clone());
                        *code
                    }
                };
                if needed.insert(code) {
                    self.touch(code);
                }
            }
            batch.length += 1;
        }
        batch
    }

    fn place(&self, fits: impl Fn(&u8) -> bool) -> Option<usize> {
        self.0.iter().position(|(code, _)| fits(code))
    }

    /// Makes a key the most recently used.
    fn touch(&mut self, code: u8) {
        if let Some(place) = self.place(|known| *known == code)
            && let Some(entry) = self.0.remove(place)
        {
            self.0.push_back(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spare(count: u8) -> Spare {
        let mut spare = Spare::default();
        spare.refresh(&(100..100 + count).collect::<Vec<_>>(), |_| Given::new());
        spare
    }

    #[test]
    fn what_a_key_gives_already_is_not_given_again() {
        let mut spare = spare(3);
        let first = spare.batches(&['ж', 'a', 'ж', 'щ'], |c| c.is_ascii());
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].assign.len(), first[0].length), (2, 4));
        let again = spare.batches(&['щ', 'ж'], |c| c.is_ascii());
        assert!(again.len() == 1 && again[0].assign.is_empty());
        let more = spare.batches(&['1', '漢', '字', '仮', '名'], |c| c.is_ascii());
        assert_eq!(more.iter().map(|batch| batch.length).collect::<Vec<_>>(), [4, 1]);
        spare.refresh(&[100, 101, 102], |_| Given::new());
        assert_eq!(spare.batches(&['名'], |_| false)[0].assign.len(), 1, "another map was loaded");
        spare.refresh(&[], |_| vec!['x']);
        assert_eq!(spare.batches(&['名'], |_| false), [], "no key is spare any more");
    }

    #[test]
    fn common_characters_are_there_from_the_start_the_last_first() {
        let pairs = COMMON.chars().count().div_ceil(2);
        let mut few = spare(2);
        assert_eq!(few.give_common(), BTreeMap::from([(100, vec!['§', '·']), (101, vec!['¿', '¡'])]));
        let mut many = spare(120);
        assert_eq!(many.give_common().len(), pairs);
        let text: Vec<char> = "Ж漢ж".chars().collect();
        let batches = many.batches(&text, |c| c.is_ascii());
        assert!(batches.len() == 1 && batches[0].assign.values().collect::<Vec<_>>() == [&vec!['漢']]);
        assert!(COMMON.chars().collect::<BTreeSet<_>>().len() == COMMON.chars().count(), "each once");
    }

    proptest! {
        #[test]
        fn played_back_the_batches_are_the_text(
            texts in prop::collection::vec("[a-cα-ωж-я漢字仮名]{0,60}", 1..4), count in 1_u8..12,
        ) {
            let mut spare = spare(count);
            let mut keyboard: BTreeMap<u8, Given> = spare.give_common();
            for text in texts {
                let text: Vec<char> = text.chars().collect();
                let batches = spare.batches(&text, |c| c.is_ascii());
                let mut at = 0;
                for batch in batches {
                    prop_assert!(batch.length > 0);
                    keyboard.extend(batch.assign);
                    for character in &text[at..at + batch.length] {
                        prop_assert!(character.is_ascii() || keyboard.values().any(|given| given.contains(character)));
                    }
                    at += batch.length;
                }
                prop_assert_eq!(at, text.len());
                for (code, given) in &spare.0 {
                    prop_assert!(given.is_empty() || keyboard.get(code) == Some(given));
                }
            }
        }
    }
}
