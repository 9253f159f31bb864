//! What becomes of a file that is there already when an adapter wants one of its own.

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

#[cfg(test)]
mod tests {
    use super::*;

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
