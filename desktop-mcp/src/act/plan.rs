//! How a text is typed of which not all characters are on the keyboard: spare keys are given them, as many at once as
//! there are spare keys, because programs take a while to notice each time. A pure rule.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Spare keys and what they give, least recently used first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spare(VecDeque<(u8, Option<char>)>);

/// A piece of a text that can be typed at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What keys must be given before.
    pub assign: BTreeMap<u8, char>,
    /// How many characters are then typed.
    pub length: usize,
}

impl Spare {
    /// Takes over what there is now. Keys keep their order as long as they stay spare; `gives` says what a key really
    /// gives: somebody may have loaded another map.
    pub fn refresh(&mut self, spare: &[u8], gives: impl Fn(u8, char) -> bool) {
        self.0.retain(|(code, character)| {
            spare.contains(code) || character.is_some_and(|character| gives(*code, character))
        });
        for (code, character) in &mut self.0 {
            *character = character.filter(|character| gives(*code, *character));
        }
        for code in spare {
            if !self.0.iter().any(|(known, _)| known == code) {
                self.0.push_back((*code, None));
            }
        }
    }

    /// The key that gives a character.
    pub fn key(&self, character: char) -> Option<u8> {
        self.0.iter().find(|(_, given)| *given == Some(character)).map(|(code, _)| *code)
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
        let mut needed = BTreeSet::new();
        for character in text {
            if !typed(*character) {
                let code = match self.key(*character) {
                    Some(code) => code,
                    None => {
                        let Some(place) = self.0.iter().position(|(code, _)| !needed.contains(code)) else {
                            break;
                        };
                        self.0[place].1 = Some(*character);
                        batch.assign.insert(self.0[place].0, *character);
                        self.0[place].0
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

    /// Makes a key the most recently used.
    fn touch(&mut self, code: u8) {
        if let Some(place) = self.0.iter().position(|(known, _)| *known == code)
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
        spare.refresh(&(100..100 + count).collect::<Vec<_>>(), |_, _| true);
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
        spare.refresh(&[100, 101, 102], |_, _| false);
        assert_eq!(spare.batches(&['名'], |_| false)[0].assign.len(), 1, "another map was loaded");
    }

    proptest! {
        #[test]
        fn played_back_the_batches_are_the_text(
            texts in prop::collection::vec("[a-cα-ωж-я漢字仮名]{0,60}", 1..4), count in 1_u8..12,
        ) {
            let mut spare = spare(count);
            let mut keyboard: BTreeMap<u8, char> = BTreeMap::new();
            for text in texts {
                let text: Vec<char> = text.chars().collect();
                let batches = spare.batches(&text, |c| c.is_ascii());
                let mut at = 0;
                for batch in batches {
                    prop_assert!(batch.length > 0);
                    keyboard.extend(&batch.assign);
                    for character in &text[at..at + batch.length] {
                        prop_assert!(character.is_ascii() || keyboard.values().any(|given| given == character));
                    }
                    at += batch.length;
                }
                prop_assert_eq!(at, text.len());
                for (code, character) in &spare.0 {
                    prop_assert!(character.is_none() || keyboard.get(code) == character.as_ref());
                }
            }
        }
    }
}
