//! Skills for a mission: the same folders for every harness, written where its CLI looks for a user's own.

use super::{PlannedFile, SharedText};

/// A folder with a `SKILL.md` and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    /// Name of the folder: lower-case letters, digits and dashes.
    pub name: String,
    /// Its files, `SKILL.md` among them.
    pub files: Vec<SkillFile>,
}

/// A file of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillFile {
    /// Path within the folder.
    pub path: String,
    /// Its text.
    pub content: SharedText,
    /// Whether it is a program.
    pub executable: bool,
}

impl SkillFile {
    /// A file that is no program.
    pub fn new(path: &str, content: &str) -> Self {
        Self { path: path.to_owned(), content: content.into(), executable: false }
    }
}

impl Skill {
    /// A skill of one file.
    pub fn of_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), files: vec![SkillFile::new("SKILL.md", text)] }
    }

    /// Its files below `directory`, an absolute path as seen inside.
    pub fn planned(&self, directory: &str) -> impl Iterator<Item = PlannedFile> {
        self.files.iter().map(move |file| PlannedFile {
            path: format!("{directory}/{}/{}", self.name, file.path),
            content: file.content.clone(),
            mode: if file.executable { 0o700 } else { 0o600 },
            keep_existing: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skills_files_lie_in_its_own_folder() {
        let skill = Skill::of_text("review", "---\nname: review\n---\n");
        let files: Vec<_> = skill.planned("/m/.agent/skills").collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].path, "/m/.agent/skills/review/SKILL.md");
        assert_eq!((files[0].mode, files[0].keep_existing), (0o600, false));
    }
}
