//! Texts that many missions are given.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

/// A text that is shared by all who have it, and hashed once for all of them.
#[derive(Clone)]
pub struct SharedText(Arc<Inner>);

struct Inner {
    text: String,
    digest: OnceLock<String>,
}

impl SharedText {
    /// Its words.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Its SHA-256 in hexadecimal.
    pub fn digest(&self) -> &str {
        self.0.digest.get_or_init(|| content_digest(self.0.text.as_bytes()))
    }
}

/// SHA-256 in hexadecimal: by this a file's content is known.
pub fn content_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Deref for SharedText {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for SharedText {
    fn from(text: String) -> Self {
        Self(Arc::new(Inner { text, digest: OnceLock::new() }))
    }
}

impl From<&str> for SharedText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl PartialEq for SharedText {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for SharedText {}

impl PartialEq<&str> for SharedText {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_one_text_with_one_digest() {
        let text = SharedText::from("abc");
        let copy = text.clone();
        assert_eq!(text.digest(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(std::ptr::eq(text.digest(), copy.digest()) && copy == text && text == "abc");
        assert_eq!(SharedText::from("abc"), copy);
        assert_ne!(SharedText::from("abd"), copy);
    }
}
