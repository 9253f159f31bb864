//! Which package mirrors the host itself uses, for its own release only: an image gets no third party's packages.

use std::fs;
use std::path::{Path, PathBuf};

/// Release and mirrors of the host's distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSources {
    /// Release name: `bookworm`, `noble`.
    pub suite: String,
    /// One-line entries as in `sources.list`; the release's own first.
    pub entries: Vec<String>,
}

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    uri: String,
    suite: String,
    components: String,
    signed_by: Option<String>,
}

impl HostSources {
    /// Reads `/etc/os-release` and apt's sources; none when this is no such distribution.
    pub fn read() -> Option<Self> {
        let suite = codename(&fs::read_to_string("/etc/os-release").ok()?)?;
        let files = source_files();
        let text = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
        let entries: Vec<Entry> = files
            .iter()
            .flat_map(|path| match path.extension().and_then(|e| e.to_str()) {
                Some("sources") => stanzas(&text(path)),
                _ => one_lines(&text(path)),
            })
            .collect();
        Some(Self { entries: of_release(entries, &suite), suite })
    }
}

/// `sources.list`, then the folder's files by name.
fn source_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|path| matches!(path.extension().and_then(|e| e.to_str()), Some("list" | "sources")));
    files.sort();
    files.insert(0, Path::new("/etc/apt/sources.list").to_owned());
    files
}

fn codename(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_owned())
}

/// Keeps the release, its updates and its security fixes; the release itself comes first.
fn of_release(mut entries: Vec<Entry>, suite: &str) -> Vec<String> {
    let wanted = ["", "-updates", "-security"].map(|suffix| format!("{suite}{suffix}"));
    entries.retain(|entry| wanted.contains(&entry.suite) && entry.components.split(' ').any(|c| c == "main"));
    entries.sort_by_key(|entry| wanted.iter().position(|w| *w == entry.suite));
    entries.into_iter().map(Entry::line).collect()
}

impl Entry {
    fn line(self) -> String {
        let options = self.signed_by.map(|key| format!(" [signed-by={key}]")).unwrap_or_default();
        format!("deb{options} {} {} {}", self.uri, self.suite, self.components)
    }
}

/// `deb [options] URI SUITE COMPONENT…`
fn one_lines(text: &str) -> Vec<Entry> {
    text.lines().filter_map(one_line).collect()
}

fn one_line(line: &str) -> Option<Entry> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let components = words.collect::<Vec<_>>().join(" ");
    Some(Entry { uri, suite, components, signed_by: signed_by.map(str::to_owned) })
}

/// The deb822 form: stanzas of `Field: value`, every URI combined with every suite.
fn stanzas(text: &str) -> Vec<Entry> {
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    without_comments.join("\n").split("\n\n").flat_map(stanza).collect()
}

fn stanza(text: &str) -> Vec<Entry> {
    let field = |name: &str| {
        let line =
            text.lines().find(|l| l.split(':').next().is_some_and(|f| f.eq_ignore_ascii_case(name)))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let enabled = field("Enabled").is_none_or(|value| value != "no");
    let (Some(types), Some(uris), Some(suites)) = (field("Types"), field("URIs"), field("Suites")) else {
        return Vec::new();
    };
    if !enabled || !types.split_whitespace().any(|t| t == "deb") {
        return Vec::new();
    }
    let components = field("Components").unwrap_or_default();
    // A key written into the stanza itself has no path; the builder then uses the host's keyrings.
    let signed_by = field("Signed-By").filter(|key| key.starts_with('/'));
    let entry = |uri: &str, suite: &str| Entry {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        components: components.clone(),
        signed_by: signed_by.clone(),
    };
    uris.split_whitespace()
        .flat_map(|uri| suites.split_whitespace().map(move |s| (uri, s)))
        .map(|(u, s)| entry(u, s))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a remark
URIs: http://deb.debian.org/debian
Suites: bookworm-updates bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main contrib

Types: deb
URIs: https://example.org/node
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://off.example.org/
Suites: bookworm
Components: main
";

    #[test]
    fn only_the_release_of_the_host_is_used_and_it_comes_first() {
        let key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
        let expected = [
            format!("deb {key} http://deb.debian.org/debian bookworm main"),
            format!("deb {key} http://deb.debian.org/debian bookworm-updates main"),
            "deb http://deb.debian.org/debian-security bookworm-security main contrib".to_owned(),
        ];
        assert_eq!(of_release(stanzas(DEB822), "bookworm"), expected);
    }

    #[test]
    fn one_line_entries_are_read_with_their_key() {
        let text = "# deb http://no/ bookworm main\ndeb-src http://no/ bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://a/ bookworm main contrib\ndeb http://cloud/ cloud main\n";
        let lines = of_release(one_lines(text), "bookworm");
        assert_eq!(lines, ["deb [signed-by=/k.gpg] http://a/ bookworm main contrib"]);
    }

    #[test]
    fn the_code_name_is_read_with_and_without_quotes() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n").as_deref(), Some("bookworm"));
        assert_eq!(codename("VERSION_CODENAME=\"noble\"").as_deref(), Some("noble"));
        assert_eq!(codename("ID=arch"), None);
    }
}
