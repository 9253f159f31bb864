//! A Library as it was read: its files, before anything is made of them.

/// Most bytes of one file.
pub const LARGEST_LIBRARY_FILE: u64 = 1 << 20;
/// Most files of a Library that are looked at.
pub const MOST_LIBRARY_FILES: usize = 4000;
/// Most bytes of all of them.
pub const LARGEST_LIBRARY: u64 = 32 << 20;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the Library's folder.
    pub path: String,
    /// Whether it may be executed.
    pub executable: bool,
    /// Its text, or why it has none.
    pub content: Result<String, Unread>,
}

/// Why a file was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// A link: it may lead anywhere.
    Link,
    /// A pipe, a socket, a device.
    Special,
    /// More than [`LARGEST_LIBRARY_FILE`].
    TooLarge,
    /// Not UTF-8.
    Binary,
    /// The system refused, or it changed meanwhile.
    Failed,
}

impl Unread {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "is a link, and links are not followed",
            Self::Special => "is not a plain file",
            Self::TooLarge => "is larger than 1 MiB",
            Self::Binary => "is not UTF-8 text",
            Self::Failed => "cannot be read",
        }
    }
}
