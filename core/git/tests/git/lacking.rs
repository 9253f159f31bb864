//! Submodules and pointers of Git LFS: left as git leaves them without their programs, named, and clean.

use std::fs;

use sandboxed_git::{KeptBecause, Paths, Removal, Spares, create, remove, validate};

use crate::fixture::{Lab, commit, git, write};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// With the submodule `libs/part` and a file of Git LFS, as a machine has it on which neither program is set up.
fn lab() -> Lab {
    let lab = Lab::new();
    let part = lab.out("part");
    fs::create_dir(&part).unwrap();
    git(&part, &["init", "-q", "-b", "main"]);
    write(&part, "inner.txt", "inner\n");
    commit(&part, "part");
    let add =
        ["-c", "protocol.file.allow=always", "submodule", "add", "-q", part.to_str().unwrap(), "libs/part"];
    git(&lab.repo, &add);
    lab.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    lab.write("data/big.bin", POINTER);
    lab.write("data/plain.bin", "not a pointer\n");
    lab.commit("second");
    lab
}

type Change = fn(&std::path::Path);

fn paths(first: &str) -> Paths {
    Paths { first: vec![first.to_owned()], count: 1 }
}

#[test]
fn a_worktree_names_its_submodules_and_pointers_and_is_clean() {
    let lab = lab();
    let spares = Spares::new(lab.out("spares"));
    spares.prepare(&lab.repo, None, 1).unwrap();
    for (name, spares) in [("written", None), ("spare", Some(&spares))] {
        let made = create(&validate(&lab.request(name)).unwrap(), spares).unwrap();
        assert_eq!(made.lacking.submodules, paths("libs/part"), "{name}");
        assert_eq!(made.lacking.lfs, paths("data/big.bin"), "{name}");
        assert_eq!(fs::read_dir(made.path.join("libs/part")).unwrap().count(), 0, "{name}");
        assert_eq!(fs::read_to_string(made.path.join("data/big.bin")).unwrap(), POINTER, "{name}");
        assert_eq!(git(&made.path, &["status", "--porcelain"]), "", "{name}");
        // The same as git itself makes.
        let theirs = lab.out(&format!("{name}-git"));
        git(&lab.repo, &["worktree", "add", "-q", "--detach", theirs.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(theirs.join("data/big.bin")).unwrap(), POINTER);
        assert_eq!(fs::read_dir(theirs.join("libs/part")).unwrap().count(), 0);
        // Work beside them is committed without touching them.
        write(&made.path, "new.txt", "new");
        commit(&made.path, "work");
        assert_eq!(git(&made.path, &["diff", "--stat", "HEAD~1", "--", "libs", "data"]), "", "{name}");
    }
}

/// Attributes in a directory or in the repository's own file, a submodule that `.gitmodules` does not know, and a main
/// checkout in which the real Git LFS has put the contents.
#[test]
fn pointers_are_found_wherever_attributes_are_and_contents_of_the_main_checkout_are_not_taken() {
    for place in ["deep/er/.gitattributes", ".git/info/attributes"] {
        let lab = Lab::new();
        git(&lab.repo, &["lfs", "install", "--local", "--skip-repo"]);
        lab.write(place, "*.bin filter=lfs diff=lfs merge=lfs -text\n");
        lab.write("deep/er/still/big.bin", &"contents\n".repeat(100));
        lab.commit("second");
        let pointer = git(&lab.repo, &["cat-file", "blob", "HEAD:deep/er/still/big.bin"]);
        assert!(pointer.starts_with("version https://git-lfs"), "{pointer}");
        let made = lab.make("w").unwrap();
        assert_eq!(made.lacking.lfs, paths("deep/er/still/big.bin"), "{place}");
        let text = fs::read_to_string(made.path.join("deep/er/still/big.bin")).unwrap();
        assert_eq!(text.trim(), pointer.trim(), "{place}");
        // To git with its program and to git without it nothing has changed.
        assert_eq!(git(&made.path, &["status", "--porcelain"]), "", "{place}");
        let without =
            ["-c", "filter.lfs.process=", "-c", "filter.lfs.clean=", "-c", "filter.lfs.required=false"];
        assert_eq!(git(&made.path, &[&without[..], &["status", "--porcelain"]].concat()), "", "{place}");
    }
    let lab = Lab::new();
    let inner = lab.repo.join("vendor/inner");
    fs::create_dir_all(&inner).unwrap();
    git(&inner, &["init", "-q", "-b", "main"]);
    write(&inner, "a.txt", "a");
    commit(&inner, "inner");
    lab.commit("with a repository inside");
    let made = lab.make("w").unwrap();
    assert_eq!(made.lacking.submodules, paths("vendor/inner"));
    assert_eq!(git(&made.path, &["status", "--porcelain"]), "");
}

#[test]
fn a_repository_without_either_lacks_nothing() {
    let lab = Lab::new();
    assert!(lab.make("w").unwrap().lacking.is_empty());
    // Attributes alone are no pointers.
    lab.write(".gitattributes", "*.bin filter=lfs\n");
    lab.commit("second");
    assert!(lab.make("v").unwrap().lacking.is_empty());
}

#[test]
fn empty_submodules_keep_no_worktree_and_anything_in_them_does() {
    let lab = lab();
    let made = lab.make("clean").unwrap();
    let removal = remove(&made.path, &lab.repo, &made.branch).unwrap();
    assert_eq!(removal, Removal::Removed { branch_kept: false });
    let changes: [(&str, Change); 3] = [
        ("a file", |path| write(path, "libs/part/mine.txt", "mine")),
        ("another commit", |path| {
            let head = git(path, &["rev-parse", "HEAD"]);
            let entry = format!("160000,{},libs/part", head.trim());
            git(path, &["update-index", "--cacheinfo", &entry]);
        }),
        ("taken out", |path| drop(git(path, &["rm", "-q", "--cached", "libs/part"]))),
    ];
    for (name, change) in changes {
        let name = name.replace(' ', "-");
        let made = lab.make(&name).unwrap();
        change(&made.path);
        let removal = remove(&made.path, &lab.repo, &made.branch).unwrap();
        let Removal::Kept { why, .. } = removal else { panic!("{name}: removed") };
        assert_eq!(why, KeptBecause::Submodules, "{name}");
    }
}
