//! How far a build is, read from what mmdebstrap or debootstrap prints.

use serde::Serialize;

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildProgress {
    /// What is done now.
    pub phase: &'static str,
    /// 0 to 100; never goes back.
    pub percent: u8,
    /// Which package, or how many.
    pub detail: String,
}

/// A part of the build: the words that begin it, its name, and where it begins and ends in percent. The shares are
/// those of a build over a fast network.
struct Phase {
    begins: &'static str,
    name: &'static str,
    from: u8,
    to: u8,
    /// A line that begins so is one package of it.
    step: &'static str,
}

const fn phase(begins: &'static str, name: &'static str, from: u8, to: u8, step: &'static str) -> Phase {
    Phase { begins, name, from, to, step }
}

const PHASES: [Phase; 10] = [
    phase("I: running apt-get update", "reading package lists", 1, 8, "Get:"),
    phase("I: downloading packages", "downloading", 8, 30, "Get:"),
    phase("I: extracting archives", "extracting", 30, 38, "extracting"),
    phase("I: installing essential", "installing essential packages", 38, 75, "Setting up "),
    phase("I: installing remaining", "installing packages", 75, 96, "Setting up "),
    phase("I: cleaning", "cleaning", 96, 99, "\0"),
    phase("I: Retrieving ", "downloading", 8, 30, "I: Retrieving "),
    phase("I: Extracting ", "extracting", 30, 38, "I: Extracting "),
    phase("I: Unpacking ", "installing packages", 38, 60, "I: Unpacking "),
    phase("I: Configuring ", "installing packages", 60, 96, "I: Configuring "),
];

/// Reads the builder's lines one by one.
#[derive(Debug, Default)]
pub struct ProgressReader {
    phase: Option<usize>,
    packages: u32,
    done: u32,
    percent: u8,
}

impl ProgressReader {
    /// What a line tells; none when it tells nothing new.
    pub fn line(&mut self, line: &str) -> Option<BuildProgress> {
        if let Some(count) = newly_installed(line) {
            self.packages = count;
            return None;
        }
        let begun = PHASES.iter().position(|p| line.starts_with(p.begins));
        if let Some(index) = begun.filter(|index| self.phase != Some(*index)) {
            self.phase = Some(index);
            self.done = 0;
            return Some(self.report(&PHASES[index], String::new()));
        }
        let phase = &PHASES[self.phase?];
        let package = line.strip_prefix(phase.step)?;
        self.done += 1;
        Some(self.report(phase, package_name(package)))
    }

    fn report(&mut self, phase: &Phase, package: String) -> BuildProgress {
        // Before the count is known, and for builders that never tell, a usual number of packages.
        let of = self.packages.max(70).max(self.done);
        let share = u32::from(phase.to - phase.from) * self.done / of;
        let percent = phase.from.saturating_add(u8::try_from(share).unwrap_or_default()).min(phase.to);
        self.percent = self.percent.max(percent);
        let detail = if package.is_empty() { package } else { format!("{package} ({})", self.done) };
        BuildProgress { phase: phase.name, percent: self.percent, detail }
    }
}

/// `0 upgraded, 69 newly installed, 0 to remove…` → 69
fn newly_installed(line: &str) -> Option<u32> {
    line.split(", ").nth(1)?.strip_suffix(" newly installed")?.parse().ok()
}

/// `17 http://… bookworm/main amd64 libnettle8 …` and `mawk (1.3.4)` → the package.
fn package_name(text: &str) -> String {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let name = if first.bytes().all(|b| b.is_ascii_digit()) { words.nth(3) } else { Some(first) };
    name.unwrap_or_default().trim_end_matches("...").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builders_lines_become_phases_packages_and_percents_that_never_go_back() {
        let lines = [
            "I: automatically chosen format: directory",
            "I: running apt-get update...",
            "I: downloading packages with apt...",
            "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
            "Get:1 http://deb.debian.org/debian bookworm/main amd64 libc6 amd64 2.36-9 [2759 kB]",
            "I: installing essential packages...",
            "Setting up mawk (1.3.4) ...",
            "I: cleaning package lists and apt cache...",
        ];
        let mut reader = ProgressReader::default();
        let told: Vec<BuildProgress> = lines.iter().filter_map(|line| reader.line(line)).collect();
        let phases: Vec<(&str, &str)> = told.iter().map(|p| (p.phase, p.detail.as_str())).collect();
        let expected = [
            ("reading package lists", ""),
            ("downloading", ""),
            ("downloading", "libc6 (1)"),
            ("installing essential packages", ""),
            ("installing essential packages", "mawk (1)"),
            ("cleaning", ""),
        ];
        assert_eq!(phases, expected);
        assert!(told.windows(2).all(|w| w[0].percent <= w[1].percent), "{told:?}");
        assert_eq!(told.last().map(|p| p.percent), Some(96));
    }

    #[test]
    fn debootstraps_words_are_understood_as_well() {
        let mut reader = ProgressReader::default();
        assert_eq!(reader.line("I: Retrieving libc6 2.36").map(|p| p.phase), Some("downloading"));
        let next = reader.line("I: Retrieving bash 5.2").unwrap();
        assert_eq!(next.detail, "bash (1)");
        assert_eq!(reader.line("I: Configuring bash...").map(|p| p.phase), Some("installing packages"));
    }
}
