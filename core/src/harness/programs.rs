//! Finding the agents' programs on the host: the user's own, else those that were installed from npm.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode, ProgramSource};
use sandboxed_domain::harness::{Harness, Platform, Program, Shape};

/// `PATH` of runs inside a sandbox.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Nowhere.
    #[error("{command} is not installed")]
    Missing {
        /// Its name.
        command: &'static str,
    },
    /// What names it names nothing that can be read.
    #[error("{command}: {}: {error}", path.display())]
    Unreadable {
        /// Its name.
        command: &'static str,
        /// The file.
        path: PathBuf,
        /// The file system's word.
        error: std::io::Error,
    },
    /// A script where a binary is needed, and no binary beside it.
    #[error("{} is not a native binary, and there is none of {command} beside it", path.display())]
    NotNative {
        /// Its name.
        command: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Installing it failed.
    #[error(transparent)]
    Install(#[from] super::install::InstallError),
}

impl ProgramError {
    /// For the API: what to do about the program of `harness`.
    pub fn for_backend(&self, harness: &dyn Harness) -> ApiError {
        let hint = match self {
            Self::Install(error) => error.hint().to_owned(),
            Self::Missing { .. } => missing_hint(harness),
            Self::Unreadable { command, .. } | Self::NotNative { command, .. } => {
                let variable = format!("{}_CLI_PATH", command.to_uppercase());
                format!(
                    "set {variable} to the program, or run `sandboxed-sh backend install {}`",
                    harness.id()
                )
            }
        };
        ApiError::new(ErrorCode::BackendNotReady, self.to_string()).field("backend").hint(hint)
    }
}

fn missing_hint(harness: &dyn Harness) -> String {
    let id = harness.id();
    let variable = harness.program().map(Program::variable).unwrap_or_default();
    format!(
        "run `sandboxed-sh backend install {id}`, or set {} to true for an installation at first use, or {variable} \
         to a program of your own",
        super::install::auto_install_variable(id)
    )
}

/// A program, or what interprets it, as it lies on the host.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which.
    pub program: &'static Program,
    /// How it was found.
    pub source: ProgramSource,
    /// What has to be there for it: its file, or a directory with it.
    pub root: PathBuf,
    /// Where it is below `root`; empty when `root` is it.
    pub entry: PathBuf,
}

impl Found {
    /// Its file.
    pub fn path(&self) -> PathBuf {
        if self.entry.as_os_str().is_empty() { self.root.clone() } else { self.root.join(&self.entry) }
    }
}

/// The agents' programs of this host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Programs {
    pub(super) cache: PathBuf,
}

impl Programs {
    /// Those that are the user's, and those installed below the data directory.
    pub fn new(data: &Path) -> Self {
        Self { cache: data.join("clis") }
    }

    /// Where programs are installed: one directory for each, made whole or not at all.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// What has to be called, an interpreter before its script: the user's own (`<NAME>_CLI_PATH`, then `PATH`), else
    /// the installed one.
    ///
    /// # Errors
    /// There is none, or the user's own cannot be run in a sandbox: then no other one is taken instead.
    pub fn find(&self, program: &'static Program) -> Result<Vec<Found>, ProgramError> {
        if let Some((source, path)) = own(program) {
            return self.user_program(program, source, &path);
        }
        let package = program.package(platform());
        let root = self.cache.join(program.directory());
        let entry = package.map(|package| PathBuf::from(package.file));
        let Some(entry) = entry.filter(|entry| root.join(entry).is_file()) else {
            return Err(ProgramError::Missing { command: program.command });
        };
        let found = Found { program, source: ProgramSource::Installed, root, entry };
        self.after_interpreter(found)
    }

    /// A script comes after its interpreter.
    fn after_interpreter(&self, found: Found) -> Result<Vec<Found>, ProgramError> {
        let mut all = match found.program.shape {
            Shape::Script(interpreter) => self.find(interpreter)?,
            Shape::File | Shape::Tree { .. } => Vec::new(),
        };
        all.push(found);
        Ok(all)
    }

    fn user_program(
        &self,
        program: &'static Program,
        source: ProgramSource,
        path: &Path,
    ) -> Result<Vec<Found>, ProgramError> {
        let command = program.command;
        let unreadable = |error| ProgramError::Unreadable { command, path: path.to_owned(), error };
        let real = fs::canonicalize(path).map_err(unreadable)?;
        let found = |root: PathBuf, entry: PathBuf| Found { program, source, root, entry };
        if is_native(&real).map_err(unreadable)? {
            let (root, entry) = surroundings(program, &real);
            return Ok(vec![found(root, entry)]);
        }
        if let Shape::Script(_) = program.shape {
            let root = script_root(&real);
            let entry = real.strip_prefix(&root).unwrap_or(&real).to_owned();
            return self.after_interpreter(found(root, entry));
        }
        let native = beside_launcher(program, &real);
        let native = native.ok_or_else(|| ProgramError::NotNative { command, path: real.clone() })?;
        let (root, entry) = surroundings(program, &native);
        Ok(vec![found(root, entry)])
    }
}

/// The program that the user names, or has in `PATH`.
fn own(program: &Program) -> Option<(ProgramSource, PathBuf)> {
    if let Some(path) = std::env::var_os(program.variable()).filter(|value| !value.is_empty()) {
        return Some((ProgramSource::Variable, path.into()));
    }
    let path = program.from_path.then(|| on_path(program.command))??;
    Some((ProgramSource::Path, path))
}

/// The first file of this name in `PATH`.
pub(super) fn on_path(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(command)).find(|file| file.is_file())
}

fn is_native(path: &Path) -> std::io::Result<bool> {
    let mut magic = [0_u8; 4];
    match fs::File::open(path)?.read_exact(&mut magic) {
        Ok(()) => Ok(&magic == b"\x7fELF"),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The directory that a native file needs around it, if it lies in one, and where the file is in it.
fn surroundings(program: &Program, file: &Path) -> (PathBuf, PathBuf) {
    let alone = || (file.to_owned(), PathBuf::new());
    let Shape::Tree { up, mark } = program.shape else { return alone() };
    match file.ancestors().nth(up + 1).filter(|root| root.join(mark).is_file()) {
        Some(root) => (root.to_owned(), file.strip_prefix(root).unwrap_or(file).to_owned()),
        None => alone(),
    }
}

/// What a script may need: the `node_modules` that it was installed into, else its package, else its directory.
fn script_root(script: &Path) -> PathBuf {
    let above = || script.ancestors().skip(1);
    above()
        .find(|directory| directory.ends_with("node_modules"))
        .or_else(|| above().find(|directory| directory.join("package.json").is_file()))
        .or_else(|| script.parent())
        .unwrap_or(script)
        .to_owned()
}

/// npm puts a launcher for its own interpreter into `PATH`; the native program is in a package beside it.
fn beside_launcher(program: &Program, launcher: &Path) -> Option<PathBuf> {
    let package = program.package(platform())?;
    let places = launcher
        .ancestors()
        .skip(1)
        .map(|directory| directory.join("node_modules").join(package.installed_as).join(package.file));
    places.into_iter().find(|file| is_native(file).unwrap_or(false))
}

/// This machine's kind of processor.
pub(super) fn platform() -> Platform {
    #[cfg(target_arch = "x86_64")]
    return if std::is_x86_feature_detected!("avx2") { Platform::X64 } else { Platform::X64Baseline };
    #[cfg(not(target_arch = "x86_64"))]
    return Platform::Arm64;
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use sandboxed_domain::harness::Package;

    use super::*;

    const PACKAGE: Package = Package {
        platforms: &[Platform::X64, Platform::X64Baseline, Platform::Arm64],
        name: "@x/tool",
        suffix: "",
        integrity: "",
        installed_as: "@x/tool-linux",
        file: "vendor/x/bin/tool",
        packed: None,
    };
    static ALONE: Program = Program {
        command: "tool",
        version: "1.2.3",
        shape: Shape::File,
        packages: &[PACKAGE],
        from_path: true,
    };
    static TREE: Program = Program { shape: Shape::Tree { up: 1, mark: "mark.json" }, ..ALONE };
    static INTERPRETER: Program = Program { command: "interpreter", from_path: false, ..ALONE };
    static SCRIPT: Program = Program { shape: Shape::Script(&INTERPRETER), ..ALONE };
    const NATIVE: &str = "\x7fELF and more";

    fn write(path: PathBuf, content: &str) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn user(root: &Path, program: &'static Program, path: &Path) -> Result<Vec<Found>, ProgramError> {
        Programs::new(root).user_program(program, ProgramSource::Path, path)
    }

    #[test]
    fn a_native_file_is_taken_alone_and_one_with_helpers_with_its_directory() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let tool = write(root.join("tool"), NATIVE);
        let link = root.join("link");
        symlink(&tool, &link).unwrap();
        let found = user(&root, &ALONE, &link).unwrap();
        assert_eq!((found[0].root.clone(), found[0].path()), (tool.clone(), tool));
        let tree = write(root.join("vendor/x/bin/tool"), NATIVE);
        assert_eq!(user(&root, &TREE, &tree).unwrap()[0].root, tree, "nothing around it");
        write(root.join("vendor/x/mark.json"), "{}");
        let found = user(&root, &TREE, &tree).unwrap();
        assert_eq!((found[0].root.clone(), found[0].path()), (root.join("vendor/x"), tree));
    }

    #[test]
    fn a_launcher_leads_to_the_native_program_that_npm_put_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let modules = root.join("lib/node_modules");
        let launcher = write(modules.join("@x/tool/bin/tool.js"), "#!/usr/bin/env interpreter");
        let error = user(&root, &TREE, &launcher).unwrap_err();
        assert!(matches!(error, ProgramError::NotNative { .. }), "{error}");
        let package = TREE.package(platform()).unwrap();
        for place in [modules.clone(), modules.join("@x/tool/node_modules")] {
            let native = write(place.join(package.installed_as).join(package.file), NATIVE);
            assert_eq!(user(&root, &TREE, &launcher).unwrap()[0].path(), native);
        }
    }

    #[test]
    fn a_script_comes_with_its_packages_after_its_interpreter() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let script =
            write(root.join("lib/node_modules/@x/tool/bundle/tool.js"), "#!/usr/bin/env interpreter");
        let error = user(&root, &SCRIPT, &script).unwrap_err();
        assert_eq!(error.to_string(), "interpreter is not installed");
        let interpreter = INTERPRETER.package(platform()).unwrap().file;
        let interpreter = write(root.join("clis").join(INTERPRETER.directory()).join(interpreter), NATIVE);
        let found = user(&root, &SCRIPT, &script).unwrap();
        assert_eq!(found.iter().map(Found::path).collect::<Vec<_>>(), [interpreter, script]);
        assert_eq!(found[1].root, root.join("lib/node_modules"));
        assert_eq!((found[0].source, found[1].source), (ProgramSource::Installed, ProgramSource::Path));
    }

    #[test]
    fn what_is_named_and_cannot_be_read_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let error = user(root.path(), &ALONE, &root.path().join("nothing")).unwrap_err();
        assert!(matches!(error, ProgramError::Unreadable { .. }), "{error}");
        let empty = write(root.path().join("empty"), "");
        assert!(matches!(user(root.path(), &ALONE, &empty).unwrap_err(), ProgramError::NotNative { .. }));
    }
}
