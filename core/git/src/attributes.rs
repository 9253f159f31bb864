//! Whether a tree's files are, byte for byte, its blobs; if not, only a real checkout makes the right files.

use std::fs;
use std::path::{Path, PathBuf};

use git2::Repository;

use super::populate::Item;

/// Bigger attribute files are not read: they count as meaning something.
const MAX_ATTRIBUTES: u64 = 1024 * 1024;

/// Whether configuration, attributes, submodules or links ask for more than writing blobs to files.
pub(super) fn needs_checkout(repo: &Repository, items: &[Item]) -> bool {
    configured(repo) || items.iter().any(|item| item.is_submodule() || has_meaning(repo, item))
}

fn configured(repo: &Repository) -> bool {
    let Ok(config) = repo.config().and_then(|mut c| c.snapshot()) else { return true };
    let set = |key: &str, harmless: &[&str]| {
        config.get_str(key).is_ok_and(|value| !harmless.iter().any(|h| value.eq_ignore_ascii_case(h)))
    };
    set("core.autocrlf", &["false", "no", "off", "0", "input"])
        || set("core.eol", &["lf", "native"])
        || set("core.symlinks", &["true", "yes", "on", "1"])
        || config.get_entry("core.attributesfile").is_ok()
        || files(repo).iter().any(|path| file_has_meaning(path))
}

/// Files of attributes that are not in the tree: the repository's, the user's and the machine's.
pub(super) fn files(repo: &Repository) -> Vec<PathBuf> {
    let own = repo.commondir().join("info/attributes");
    let named = repo.config().and_then(|config| config.get_path("core.attributesfile")).ok();
    let xdg = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))
        .map(|dir| dir.join("git/attributes"));
    let machine = Some("/etc/gitattributes".into());
    [Some(own), named.or(xdg), machine].into_iter().flatten().collect()
}

fn file_has_meaning(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Err(_) => false,
        Ok(meta) if !meta.is_file() || meta.len() > MAX_ATTRIBUTES => true,
        Ok(_) => fs::read(path).map_or(true, |bytes| changes_content(&bytes)),
    }
}

fn has_meaning(repo: &Repository, item: &Item) -> bool {
    item.file_name() == b".gitattributes"
        && repo
            .find_blob(item.oid)
            .map_or(true, |blob| blob.size() as u64 > MAX_ATTRIBUTES || changes_content(blob.content()))
}

/// Whether attribute lines can make a file differ from its blob. `text=auto`, by far the commonest line, cannot where
/// lines end in LF; neither can `-text` or `binary`.
fn changes_content(attributes: &[u8]) -> bool {
    String::from_utf8_lossy(attributes)
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .any(|line| {
            line.starts_with("[attr]")
                || line.starts_with('"')
                || line.split_whitespace().skip(1).any(|word| {
                    let name = word.split('=').next().unwrap_or(word);
                    matches!(name, "text" | "eol" | "filter" | "ident" | "crlf" | "working-tree-encoding")
                        && word != "text=auto"
                })
        })
}

#[cfg(test)]
mod tests {
    use super::changes_content;

    #[test]
    fn only_attributes_that_change_bytes_ask_for_a_checkout() {
        for (line, expected) in [
            ("* text=auto", false),
            ("*.png binary", false),
            ("*.sh -text", false),
            ("# * filter=lfs", false),
            ("*.rs diff=rust linguist-generated", false),
            ("docs/* merge=union", false),
            ("* text", true),
            ("* text=auto eol=crlf", true),
            ("*.bin filter=lfs diff=lfs merge=lfs -text", true),
            ("*.c ident", true),
            ("*.txt working-tree-encoding=UTF-16", true),
            ("[attr]mine filter=x", true),
            ("\"a b\" filter=x", true),
            ("a b\n  *.x   crlf", true),
        ] {
            assert_eq!(changes_content(line.as_bytes()), expected, "{line}");
        }
    }
}
