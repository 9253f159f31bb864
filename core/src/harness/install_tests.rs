use std::os::unix::fs::PermissionsExt;

use sandboxed_domain::harness::{Platform, Shape};

use super::*;

/// A registry with one package, and an npm that fetches from it and counts how often.
struct Registry {
    root: tempfile::TempDir,
}

const EVERYWHERE: &[Platform] = &[Platform::X64, Platform::X64Baseline, Platform::Arm64];

impl Registry {
    fn new(entries: &[(&str, u32, &[u8])]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let gz = flate2::write::GzEncoder::new(
            File::create(root.path().join("package.tgz")).unwrap(),
            flate2::Compression::fast(),
        );
        let mut archive = tar::Builder::new(gz);
        for (path, mode, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            let name = path.as_bytes();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        let registry = Self { root };
        registry.npm("echo fetched >> $count; cp $archive $to/tool-1.2.3.tgz");
        registry
    }

    /// An npm that does this.
    fn npm(&self, does: &str) {
        let root = self.root.path().display();
        let script = format!(
            "#!/bin/sh\nfor arg; do [ \"$last\" = --pack-destination ] && to=$arg; last=$arg; done\n\
             count={root}/count archive={root}/package.tgz spec=$last\n{does}\n"
        );
        fs::write(self.root.path().join("npm"), script).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.root.path().join("npm"), executable).unwrap();
    }

    fn program(&self, packed: Option<&'static str>) -> &'static Program {
        let hash = sha512(&self.root.path().join("package.tgz")).unwrap();
        let package = Package {
            platforms: EVERYWHERE,
            name: "@x/tool",
            suffix: "-linux",
            integrity: hash.leak(),
            installed_as: "@x/tool",
            file: "bin/tool",
            packed,
        };
        Box::leak(Box::new(Program {
            command: "tool",
            version: "1.2.3",
            shape: Shape::File,
            packages: Box::leak(Box::new([package])),
            from_path: false,
        }))
    }

    async fn install(&self, program: &'static Program) -> Result<(), InstallError> {
        install(&self.cache(), &self.root.path().join("npm"), program, &program.packages[0]).await
    }

    fn cache(&self) -> PathBuf {
        self.root.path().join("clis")
    }

    /// What is in the directory of installed programs, locks aside.
    fn installed(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".lock")).collect()
    }

    fn fetched(&self) -> usize {
        fs::read_to_string(self.root.path().join("count")).unwrap_or_default().lines().count()
    }
}

const TOOL: &[(&str, u32, &[u8])] = &[
    ("package/bin/tool", 0o600, b"tool"),
    ("package/bin/helper", 0o700, b"helper"),
    ("package/doc/text", 0o600, b"text"),
];

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_package_is_installed_whole_and_for_everybody() {
    let registry = Registry::new(TOOL);
    registry.install(registry.program(None)).await.unwrap();
    let tool = registry.cache().join("tool-1.2.3");
    assert_eq!(fs::read_to_string(tool.join("bin/tool")).unwrap(), "tool");
    assert_eq!(mode(tool.join("bin/tool")), 0o755, "the program, whatever the archive says");
    assert_eq!(mode(tool.join("bin/helper")), 0o755);
    assert_eq!(mode(tool.join("doc/text")), 0o644);
    assert_eq!((mode(tool.join("doc")), mode(tool.clone())), (0o755, 0o755));
    assert_eq!(registry.installed(), ["tool-1.2.3"], "nothing else is left");
}

#[tokio::test]
async fn of_many_installers_one_fetches() {
    let registry = Registry::new(TOOL);
    let program = registry.program(None);
    let all = futures::future::join_all((0..8).map(|_| registry.install(program))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(registry.fetched(), 1);
    assert_eq!(registry.installed(), ["tool-1.2.3"]);
}

#[tokio::test]
async fn another_archive_than_the_pinned_one_is_refused() {
    let registry = Registry::new(TOOL);
    let program = registry.program(None);
    registry.npm("echo other > $to/tool-1.2.3.tgz");
    let error = registry.install(program).await.unwrap_err();
    assert!(matches!(error, InstallError::Integrity { .. }), "{error}");
    assert!(error.to_string().contains("@x/tool@1.2.3-linux"), "{error}");
    assert!(registry.installed().is_empty());
}

#[tokio::test]
async fn what_npm_complains_of_is_told_and_a_later_attempt_works() {
    let registry = Registry::new(TOOL);
    let program = registry.program(None);
    registry.npm("echo no such host >&2; exit 1");
    let error = registry.install(program).await.unwrap_err();
    assert_eq!(error.to_string(), "npm cannot fetch @x/tool@1.2.3-linux: no such host");
    assert!(registry.installed().is_empty());
    // What an installer that was killed would leave.
    fs::create_dir_all(registry.cache().join(".tool-1.2.3.new/package")).unwrap();
    fs::create_dir_all(registry.cache().join("tool-1.2.3")).unwrap();
    registry.npm("cp $archive $to/tool-1.2.3.tgz");
    registry.install(program).await.unwrap();
    assert_eq!(registry.installed(), ["tool-1.2.3"]);
}

#[tokio::test]
async fn npm_gets_no_key() {
    let registry = Registry::new(TOOL);
    let program = registry.program(None);
    registry.npm("env > $count; cp $archive $to/tool-1.2.3.tgz");
    registry.install(program).await.unwrap();
    let seen = fs::read_to_string(registry.root.path().join("count")).unwrap();
    let names = seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let allowed = |name: &str| {
        let lower = name.to_lowercase();
        ["PATH", "HOME", "PWD", "_", "OLDPWD", "SHLVL"].contains(&name)
            || name.starts_with("SSL_CERT")
            || name == "NODE_EXTRA_CA_CERTS"
            || lower.starts_with("npm_config_")
            || lower.ends_with("_proxy")
    };
    let others: Vec<_> = names.filter(|name| !allowed(name)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn an_archive_writes_nowhere_else() {
    let evil: [(&str, u32, &[u8]); 4] = [
        ("package/bin/tool", 0o755, b"tool"),
        ("package/../../outside", 0o644, b"x"),
        ("/outside", 0o644, b"x"),
        ("outside", 0o644, b"x"),
    ];
    let registry = Registry::new(&evil);
    registry.install(registry.program(None)).await.unwrap();
    assert_eq!(registry.installed(), ["tool-1.2.3"]);
    let tool = registry.cache().join("tool-1.2.3");
    let names = |path: &Path| fs::read_dir(path).unwrap().count();
    // An absolute path loses its root, as everything loses its first part.
    assert_eq!((names(&tool), names(&tool.join("bin"))), (2, 1));
    assert!(!registry.cache().join("outside").exists() && !Path::new("/outside").exists());
}

#[tokio::test]
async fn a_packed_program_is_unpacked() {
    // "the program", by node's `brotliCompressSync`.
    const PACKED: &[u8] = &[27, 10, 0, 248, 165, 65, 202, 208, 232, 68, 41, 129, 197, 9];
    let registry = Registry::new(&[("package/bin/tool.br", 0o600, PACKED)]);
    registry.install(registry.program(Some("bin/tool.br"))).await.unwrap();
    let bin = registry.cache().join("tool-1.2.3/bin");
    assert_eq!(fs::read_to_string(bin.join("tool")).unwrap(), "the program");
    assert_eq!(mode(bin.join("tool")), 0o755);
    assert!(!bin.join("tool.br").exists(), "one copy is enough");
}

#[tokio::test]
async fn a_package_without_the_program_is_refused() {
    let registry = Registry::new(&[("package/readme", 0o644, b"x")]);
    let error = registry.install(registry.program(None)).await.unwrap_err();
    assert_eq!(error.to_string(), "@x/tool@1.2.3-linux has no bin/tool");
    assert!(registry.installed().is_empty());
}
