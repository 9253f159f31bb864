//! Folders of the Library, names of what lies in them, and paths that may be named at all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::ApiError;

/// Longest name.
const LONGEST_NAME: usize = 64;
/// Deepest path, in parts.
const DEEPEST: usize = 8;
/// Longest path in bytes.
const LONGEST_PATH: usize = 512;

/// What the Library is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is explained in the module")]
pub enum LibraryKind {
    Skill,
    Agent,
    Command,
    Rule,
    Mcp,
    Tool,
    Template,
    InitScript,
    Profile,
}

impl LibraryKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Skill,
        Self::Agent,
        Self::Command,
        Self::Rule,
        Self::Mcp,
        Self::Tool,
        Self::Template,
        Self::InitScript,
        Self::Profile,
    ];

    /// Its folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Skill => "skills",
            Self::Agent => "agents",
            Self::Command => "commands",
            Self::Rule => "rules",
            Self::Mcp => "mcps",
            Self::Tool => "tools",
            Self::Template => "templates",
            Self::InitScript => "init-scripts",
            Self::Profile => "configs",
        }
    }

    /// The word for people and for lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skill => "skill",
            Self::Agent => "agent",
            Self::Command => "command",
            Self::Rule => "rule",
            Self::Mcp => "mcp",
            Self::Tool => "tool",
            Self::Template => "template",
            Self::InitScript => "init_script",
            Self::Profile => "profile",
        }
    }

    /// The kind of this folder.
    pub fn of_folder(folder: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.folder() == folder)
    }
}

/// Whether something may be called this: it becomes a file's name, a command and a part of a tool's name.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= LONGEST_NAME && name.starts_with(first) && name.chars().all(plain)
}

/// What a name may be, in words.
pub(super) const NAME_RULE: &str = "a name is 1 to 64 lower-case letters, digits, dashes and underscores";

/// Whether this is the path of a file in the Library: relative, plain, and in no hidden folder (`.git` is one) but
/// those of a profile.
///
/// # Errors
/// `invalid_argument` on `path`.
pub fn check_library_path(path: &str) -> Result<(), ApiError> {
    match path_fault(path) {
        None => Ok(()),
        Some(fault) => Err(ApiError::invalid("path", format!("{path:?} {fault}"))
            .hint("a path below the Library's folder, such as skills/review/SKILL.md")),
    }
}

/// Why a path is none.
pub(super) fn path_fault(path: &str) -> Option<&'static str> {
    let parts: Vec<_> = path.split('/').collect();
    if path.len() > LONGEST_PATH || parts.len() > DEEPEST {
        return Some("is too long or too deep");
    }
    if parts.iter().any(|part| part.is_empty() || *part == "." || *part == "..") {
        return Some("is not a plain relative path");
    }
    if path.chars().any(|c| c.is_control() || c == '\\' || c == ':') {
        return Some("has characters that a path here may not have");
    }
    // Git for Windows and macOS take more spellings for `.git`; none of them has a use here.
    let git = |part: &&str| {
        let part = part.to_lowercase();
        part.starts_with(".git") && part != ".gitignore" && part != ".gitattributes"
            || part.starts_with("git~")
    };
    if parts.iter().any(git) {
        return Some("belongs to git");
    }
    (parts.len() > 1 && parts.iter().any(|part| part.starts_with('.'))).then_some("is hidden")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "review", "web-search_2", "7"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "_a", "A", "a b", "a/b", "a.b", "ä", "..", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn paths_stay_below_and_out_of_git() {
        for path in
            ["README.md", ".gitignore", "skills/a/SKILL.md", "configs/p/profile.toml", "skills/a/b/c.py"]
        {
            assert!(check_library_path(path).is_ok(), "{path}");
        }
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "./a",
            "a/.",
            ".git/config",
            ".GIT/config",
            "a/.git/hooks/x",
            "git~1/config",
            ".gitmodules",
            "skills/.hidden/x",
            "a\\b",
            "c:x",
            "a\nb",
            "a/b/c/d/e/f/g/h/i",
        ] {
            assert_eq!(check_library_path(path).unwrap_err().field.as_deref(), Some("path"), "{path:?}");
        }
    }

    #[test]
    fn every_kind_has_a_folder_of_its_own() {
        for kind in LibraryKind::ALL {
            assert_eq!(LibraryKind::of_folder(kind.folder()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
