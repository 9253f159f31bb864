//! The table in the documentation is what is tested.

use crate::agents::{BEHAVIOURS, SUBJECTS};

#[test]
fn every_behaviour_is_held_by_a_test_and_has_its_words() {
    for (behaviour, words) in BEHAVIOURS {
        assert!(crate::claudecode::HELD.contains(behaviour), "{behaviour:?} is held by no test");
        assert!(!words.is_empty());
    }
    for behaviour in crate::claudecode::HELD {
        assert_eq!(BEHAVIOURS.iter().filter(|(other, _)| other == behaviour).count(), 1, "{behaviour:?}");
    }
    for subject in SUBJECTS {
        for (behaviour, why) in subject.differences {
            let stated = subject.differences.iter().filter(|(other, _)| other == behaviour).count();
            assert!(stated == 1 && !why.is_empty(), "{}: {behaviour:?}", subject.id);
        }
    }
}
