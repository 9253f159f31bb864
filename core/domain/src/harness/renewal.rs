//! What becomes of a file that is there already when an adapter wants one of its own, and whether it has to be read to
//! tell.

/// What to do with a planned file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileStep {
    /// Write it: nothing is there, or only what we wrote.
    Write,
    /// Nothing to do: it is there as it should be.
    Leave,
    /// Keep what is there, and tell: somebody changed it, or it was there before us.
    Keep,
    /// Write it over a changed one, and tell: the file is the platform's.
    Replace,
}

/// The rule, by digests: of what is `found`, of what is `wanted`, and of what we `wrote` there last.
pub fn file_step(found: Option<&str>, wanted: &str, wrote: Option<&str>, keep_existing: bool) -> FileStep {
    match (found, keep_existing) {
        (None, _) => FileStep::Write,
        (Some(found), _) if found == wanted => FileStep::Leave,
        (found, _) if found == wrote => FileStep::Write,
        (Some(_), true) => FileStep::Keep,
        (Some(_), false) => FileStep::Replace,
    }
}

/// What becomes of a file that was written and is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalStep {
    /// Remove it: it is as it was written.
    Remove,
    /// It is gone.
    Forget,
    /// Keep it, and tell: somebody changed it.
    Keep,
}

/// The rule, by digests: of what is `found`, and of what we `wrote`.
pub fn removal_step(found: Option<&str>, wrote: &str) -> RemovalStep {
    match found {
        None => RemovalStep::Forget,
        Some(found) if found == wrote => RemovalStep::Remove,
        Some(_) => RemovalStep::Keep,
    }
}

/// Most by which the time that a file system puts on a change lags behind: two ticks of the slowest kernel.
const LAG: i64 = 20_000_000;
/// The same where it writes down whole seconds, or two.
const COARSE_LAG: i64 = 2_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// What tells whether a file is still the one that was looked at. Times are in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Its number in the file system.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content changed, or what somebody set there.
    pub modified: i64,
    /// When anything about it changed; nobody can set this.
    pub changed: i64,
}

impl FileStamp {
    /// Whether every change after `looked_at` makes this another stamp. One at the same tick of the file system's clock
    /// as the last would not: a file that was touched so shortly before has to be read again the next time.
    pub fn shows_later_changes(&self, looked_at: i64) -> bool {
        let lag = if self.changed % SECOND == 0 { COARSE_LAG } else { LAG };
        self.changed.saturating_add(lag) < looked_at
    }
}

/// What is remembered of a file that the platform wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Of its content.
    pub digest: String,
    /// As it was when it was last read and had this content; none until it can be trusted, see
    /// [`FileStamp::shows_later_changes`].
    pub stamp: Option<FileStamp>,
}

impl WrittenFile {
    /// Whether the file that is `found` need not be read, because it has the content that is `wanted`. What is to be
    /// overwritten or removed is always read before.
    pub fn is_still(&self, wanted: &str, found: &FileStamp) -> bool {
        self.digest == wanted && self.stamp.as_ref() == Some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: FileStamp =
        FileStamp { inode: 7, size: 4, modified: 5 * SECOND + 1, changed: 5 * SECOND + 1 };

    #[test]
    fn a_file_goes_unread_only_if_nothing_touched_it_and_it_is_what_is_wanted() {
        let record = WrittenFile { digest: "ours".to_owned(), stamp: Some(STAMP) };
        let table = [
            ("the same", "ours", STAMP, true),
            ("another is wanted", "newer", STAMP, false),
            (
                "edited in place",
                "ours",
                FileStamp { modified: 6 * SECOND, changed: 6 * SECOND, ..STAMP },
                false,
            ),
            ("edited, and its time set back", "ours", FileStamp { changed: 6 * SECOND, ..STAMP }, false),
            ("replaced", "ours", FileStamp { inode: 8, ..STAMP }, false),
            ("longer", "ours", FileStamp { size: 5, ..STAMP }, false),
            ("its time set", "ours", FileStamp { modified: 1, ..STAMP }, false),
        ];
        for (what, wanted, found, still) in table {
            assert_eq!(record.is_still(wanted, &found), still, "{what}");
        }
        let unsure = WrittenFile { stamp: None, ..record };
        assert!(!unsure.is_still("ours", &STAMP), "no stamp, no trust");
    }

    #[test]
    fn what_was_touched_just_before_the_look_is_not_trusted() {
        let changed = |changed| FileStamp { changed, ..STAMP };
        let fine = 5 * SECOND + 1;
        for (stamp, looked_at, trusted) in [
            (changed(fine), fine - SECOND, false),
            (changed(fine), fine, false),
            (changed(fine), fine + LAG, false),
            (changed(fine), fine + LAG + 1, true),
            (changed(5 * SECOND), 5 * SECOND + LAG + 1, false),
            (changed(5 * SECOND), 7 * SECOND, false),
            (changed(5 * SECOND), 7 * SECOND + 1, true),
            (changed(i64::MAX), i64::MAX, false),
        ] {
            assert_eq!(stamp.shows_later_changes(looked_at), trusted, "{stamp:?} {looked_at}");
        }
    }

    proptest! {
        /// A file system puts the last tick on each change. Whatever the ticks and the moments: a record that is
        /// trusted never takes a changed file for the one that was read.
        #[test]
        fn no_edit_goes_unseen(
            tick in prop::sample::select(vec![1, 1_000_000, 10_000_000, SECOND, 2 * SECOND]),
            wrote in 0..10 * SECOND,
            until_look in 0..5 * SECOND,
            until_edit in 0..5 * SECOND,
        ) {
            let written_down = |at: i64| at - at % tick;
            let look = wrote + until_look;
            let stamp = FileStamp { modified: written_down(wrote), changed: written_down(wrote), ..STAMP };
            let trusted = Some(stamp).filter(|stamp| stamp.shows_later_changes(look));
            let record = WrittenFile { digest: "ours".to_owned(), stamp: trusted };
            // The editor keeps inode and size, and puts the old time back.
            let edited = FileStamp { changed: written_down(look + until_edit), ..stamp };
            prop_assert!(!record.is_still("ours", &edited));
        }
    }

    #[test]
    fn nobodys_work_is_overwritten_without_a_word() {
        let table = [
            (None, None, false, FileStep::Write),
            (None, Some("old"), true, FileStep::Write),
            (Some("new"), None, true, FileStep::Leave),
            (Some("new"), Some("old"), false, FileStep::Leave),
            (Some("old"), Some("old"), true, FileStep::Write),
            (Some("old"), Some("old"), false, FileStep::Write),
            (Some("theirs"), None, true, FileStep::Keep),
            (Some("theirs"), Some("old"), true, FileStep::Keep),
            (Some("theirs"), Some("old"), false, FileStep::Replace),
            (Some("theirs"), None, false, FileStep::Replace),
        ];
        for (found, wrote, keep, want) in table {
            assert_eq!(file_step(found, "new", wrote, keep), want, "{found:?} {wrote:?} {keep}");
        }
    }

    #[test]
    fn only_what_was_written_is_removed() {
        assert_eq!(removal_step(Some("ours"), "ours"), RemovalStep::Remove);
        assert_eq!(removal_step(Some("theirs"), "ours"), RemovalStep::Keep);
        assert_eq!(removal_step(None, "ours"), RemovalStep::Forget);
    }
}
