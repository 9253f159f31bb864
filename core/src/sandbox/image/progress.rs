//! How far a build is, read from what mmdebstrap or debootstrap prints.

use std::time::Duration;

/// Before this much is done nobody can tell how long the rest takes.
const TELLING: u8 = 5;

/// How far a build is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildProgress {
    /// What is done now.
    pub phase: &'static str,
    /// 0 to 100; never goes back.
    pub percent: u8,
    /// Which package.
    pub detail: String,
    /// Packages that are installed.
    pub packages_done: u32,
    /// Of how many, as far as the builder has told: it installs them in two parts.
    pub packages_total: u32,
    /// Bytes of packages that were fetched.
    pub bytes_done: u64,
    /// Of how many, as far as the builder has told.
    pub bytes_total: u64,
    /// How long the rest takes, if it goes on like this.
    pub seconds_left: Option<u64>,
}

impl BuildProgress {
    /// Nothing more than a phase.
    pub fn of(phase: &'static str, percent: u8) -> Self {
        Self { phase, percent, ..Self::default() }
    }

    /// With what the time so far tells of the rest.
    pub fn after(mut self, elapsed: Duration) -> Self {
        let (done, left) = (u64::from(self.percent), u64::from(100 - self.percent.min(100)));
        self.seconds_left = (self.percent >= TELLING).then(|| elapsed.as_secs() * left / done.max(1));
        self
    }
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
    /// Packages of the part that is installed now, and those of it that are done.
    packages: u32,
    done: u32,
    percent: u8,
    /// Of the whole build.
    told: BuildProgress,
}

impl ProgressReader {
    /// What a line tells; none when it tells nothing new.
    pub fn line(&mut self, line: &str) -> Option<BuildProgress> {
        if let Some(count) = newly_installed(line) {
            self.packages = count;
            self.told.packages_total += count;
            return None;
        }
        if let Some(bytes) = to_be_fetched(line) {
            self.told.bytes_total += bytes;
            return None;
        }
        let begun = PHASES.iter().position(|p| line.starts_with(p.begins));
        if let Some(index) = begun.filter(|index| self.phase != Some(*index)) {
            self.phase = Some(index);
            self.done = 0;
            return Some(self.report(&PHASES[index], String::new()));
        }
        let phase = &PHASES[self.phase?];
        // The lists of packages are fetched too, and are none.
        let fetched = line.strip_prefix("Get:").filter(|_| self.phase != Some(0));
        self.told.bytes_done += fetched.and_then(size_of).unwrap_or_default();
        self.told.packages_done += u32::from(line.starts_with("Setting up "));
        match line.strip_prefix(phase.step) {
            Some(package) => {
                self.done += 1;
                Some(self.report(phase, package_name(package)))
            }
            // The second part is fetched in the phase in which it is installed.
            None => fetched.map(|package| self.report(phase, package_name(package))),
        }
    }

    fn report(&mut self, phase: &Phase, detail: String) -> BuildProgress {
        // Before the count is known, and for builders that never tell, a usual number of packages.
        let of = self.packages.max(70).max(self.done);
        let share = u32::from(phase.to - phase.from) * self.done / of;
        let percent = phase.from.saturating_add(u8::try_from(share).unwrap_or_default()).min(phase.to);
        self.percent = self.percent.max(percent);
        BuildProgress { phase: phase.name, percent: self.percent, detail, ..self.told.clone() }
    }
}

/// `Need to get 29.7 MB of archives.` and, where some are there already, `Need to get 1024 kB/29.7 MB of archives.`
fn to_be_fetched(line: &str) -> Option<u64> {
    let size = line.strip_prefix("Need to get ")?.strip_suffix(" of archives.")?;
    bytes(size.split('/').next()?)
}

/// `… libc6 amd64 2.36-9 [2759 kB]` → 2759000
fn size_of(line: &str) -> Option<u64> {
    bytes(line.trim_end().strip_suffix(']')?.rsplit('[').next()?)
}

/// `29.7 MB`, as apt writes sizes.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let factor: u64 = match unit {
        "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let thousandths = whole.replace(',', "").parse::<u64>().ok()? * 1000 + part.parse::<u64>().ok()?;
    thousandths.checked_mul(factor)?.checked_div(1000)
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
    // A list of packages has its size there.
    name.filter(|name| !name.starts_with('[')).unwrap_or_default().trim_end_matches("...").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builders_lines_become_phases_packages_and_percents_that_never_go_back() {
        let lines = [
            "I: automatically chosen format: directory",
            "I: running apt-get update...",
            "Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]",
            "I: downloading packages with apt...",
            "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
            "Need to get 3.5 MB of archives.",
            "Get:1 http://deb.debian.org/debian bookworm/main amd64 libc6 amd64 2.36-9 [2759 kB]",
            "I: installing essential packages...",
            "Setting up mawk (1.3.4) ...",
            "I: installing remaining packages inside the chroot...",
            "0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.",
            "Need to get 900 B/12.25 MB of archives.",
            "Get:1 http://deb.debian.org/debian bookworm/main amd64 hello amd64 2.10 [900 B]",
            "Setting up hello (2.10) ...",
            "I: cleaning package lists and apt cache...",
        ];
        let mut reader = ProgressReader::default();
        let told: Vec<BuildProgress> = lines.iter().filter_map(|line| reader.line(line)).collect();
        let figures = |p: &BuildProgress| {
            (p.detail.clone(), (p.packages_done, p.packages_total), (p.bytes_done, p.bytes_total))
        };
        let expected = [
            ("reading package lists", "", (0, 0), (0, 0)),
            ("reading package lists", "", (0, 0), (0, 0)),
            ("downloading", "", (0, 0), (0, 0)),
            ("downloading", "libc6", (0, 2), (2_759_000, 3_500_000)),
            ("installing essential packages", "", (0, 2), (2_759_000, 3_500_000)),
            ("installing essential packages", "mawk", (1, 2), (2_759_000, 3_500_000)),
            ("installing packages", "", (1, 2), (2_759_000, 3_500_000)),
            ("installing packages", "hello", (1, 3), (2_759_900, 3_500_900)),
            ("installing packages", "hello", (2, 3), (2_759_900, 3_500_900)),
            ("cleaning", "", (2, 3), (2_759_900, 3_500_900)),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, (phase, detail, packages, bytes)) in told.iter().zip(expected) {
            assert_eq!((told.phase, figures(told)), (phase, (detail.to_owned(), packages, bytes)));
        }
        assert!(told.windows(2).all(|w| w[0].percent <= w[1].percent), "{told:?}");
        assert_eq!(told.last().map(|p| p.percent), Some(96));
    }

    #[test]
    fn the_time_left_is_that_of_the_rest_at_the_same_pace() {
        let left = |percent| BuildProgress::of("x", percent).after(Duration::from_secs(30)).seconds_left;
        assert_eq!(
            [left(0), left(4), left(25), left(75), left(100)],
            [None, None, Some(90), Some(10), Some(0)]
        );
    }

    #[test]
    fn sizes_are_read_as_apt_writes_them() {
        for (text, size) in [
            ("29.7 MB", Some(29_700_000)),
            ("6924 B", Some(6924)),
            ("1,234 kB", Some(1_234_000)),
            ("2.25 GB", Some(2_250_000_000)),
            ("many", None),
            ("1 TB", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }

    #[test]
    fn debootstraps_words_are_understood_as_well() {
        let mut reader = ProgressReader::default();
        assert_eq!(reader.line("I: Retrieving libc6 2.36").map(|p| p.phase), Some("downloading"));
        let next = reader.line("I: Retrieving bash 5.2").unwrap();
        assert_eq!(next.detail, "bash");
        assert_eq!(reader.line("I: Configuring bash...").map(|p| p.phase), Some("installing packages"));
    }
}
