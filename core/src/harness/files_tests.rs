//! What is written, kept and removed, on a real file system.

use super::*;

fn planned(path: &Path, keep_existing: bool) -> PlannedFile {
    PlannedFile { path: path.display().to_string(), content: "ours".into(), mode: 0o600, keep_existing }
}

type Known = BTreeMap<String, WrittenFile>;

fn write(root: &Path, files: &[PlannedFile], known: &Known) -> Written {
    write_files(root, &[], files, known, false).unwrap()
}

/// What is remembered when the file system's clock has gone on: every file has been read since it was written.
fn settled(root: &Path, files: &[PlannedFile]) -> Known {
    let mut known = Known::new();
    while known.len() < files.len() || known.values().any(|file| file.stamp.is_none()) {
        known.extend(write(root, files, &known).files);
    }
    known
}

/// What would be remembered of a file if it had `content` and nothing touched it since.
fn remembered(path: &Path, content: &str) -> Known {
    let stamp = Some(stamp_of(&path.symlink_metadata().unwrap()));
    let file = WrittenFile { digest: content_digest(content.as_bytes()), stamp };
    Known::from([(path.display().to_string(), file)])
}

#[test]
fn what_is_as_it_should_be_is_not_touched_and_what_we_wrote_is_renewed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/file");
    let first = write(root.path(), &[planned(&path, true)], &BTreeMap::new());
    assert_eq!(first.changed, []);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(write(root.path(), &[planned(&path, true)], &first.files).changed, []);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    let known = settled(root.path(), &[planned(&path, true)]);
    assert_eq!(write(root.path(), &[planned(&path, true)], &known), Written::default());
    let newer = PlannedFile { content: "newer".into(), ..planned(&path, true) };
    let second = write(root.path(), &[newer], &known);
    assert_eq!((second.changed, fs::read_to_string(&path).unwrap()), (vec![], "newer".to_owned()));
}

#[test]
fn somebodys_changes_are_kept_or_replaced_and_told() {
    let root = tempfile::tempdir().unwrap();
    let (kept, renewed) = (root.path().join("kept"), root.path().join("renewed"));
    let files = [planned(&kept, true), planned(&renewed, false)];
    let first = write(root.path(), &files, &BTreeMap::new());
    fs::write(&kept, "theirs").unwrap();
    fs::write(&renewed, "theirs").unwrap();
    let second = write(root.path(), &files, &first.files);
    let told = [&kept, &renewed].map(|path| path.display().to_string()).into_iter();
    let told: Vec<_> = told.zip([FileStep::Keep, FileStep::Replace]).collect();
    assert_eq!(second.changed, told);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "theirs");
    assert_eq!(fs::read_to_string(&renewed).unwrap(), "ours");
    assert_eq!(second.files, Known::new(), "what is remembered of both still holds");
}

#[test]
fn what_nothing_touched_is_not_read_but_nothing_goes_unread() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "theirs").unwrap();
    let known = remembered(&path, "ours");
    assert_eq!(write(root.path(), &[planned(&path, true)], &known), Written::default(), "it was read");
    let name = path.display().to_string();
    let newer = PlannedFile { content: "newer".into(), ..planned(&path, true) };
    assert_eq!(write(root.path(), &[newer], &known).changed, [(name.clone(), FileStep::Keep)]);
    assert_eq!(write(root.path(), &[], &known).kept, std::slice::from_ref(&name));
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    let own = write(root.path(), &[planned(&path, false)], &known);
    assert_eq!(own.changed, [(name, FileStep::Replace)], "what is the platform's own is read each time");
}

#[test]
fn many_files_are_all_there_and_nothing_lies_beside_them() {
    let root = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = (0..2 * MOST_SYNCED_ALONE)
        .map(|n| planned(&root.path().join(format!("d{}/f{n}", n % 3)), n % 2 == 0))
        .collect();
    // Of two for one place the later counts.
    files.push(PlannedFile { content: "later".into(), ..files[0].clone() });
    let written = write(root.path(), &files, &Known::new());
    assert_eq!((written.files.len(), written.changed), (2 * MOST_SYNCED_ALONE, vec![]));
    assert_eq!(fs::read_to_string(&files[0].path).unwrap(), "later");
    assert!(files[1..2 * MOST_SYNCED_ALONE].iter().all(|file| fs::read(&file.path).unwrap() == b"ours"));
    let folders = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(folders.flat_map(|folder| fs::read_dir(folder).unwrap()).count(), 2 * MOST_SYNCED_ALONE);
}

#[test]
fn what_somebody_makes_while_ours_is_written_is_somebodys() {
    let root = tempfile::tempdir().unwrap();
    let (kept, replaced, gone) =
        (root.path().join("kept"), root.path().join("own"), root.path().join("gone"));
    let files = [planned(&kept, true), planned(&replaced, false), planned(&gone, true)];
    let mut written = Written::default();
    for file in &files {
        assert!(write_one(file, None, &mut written).unwrap());
    }
    fs::write(&kept, "theirs").unwrap();
    fs::write(&replaced, "theirs").unwrap();
    let new = files.iter().map(|file| (Path::new(&file.path), file)).collect();
    put_in_place(root.path(), &new, &Known::new(), &mut written).unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    assert_eq!(
        (read(&kept).as_str(), read(&replaced).as_str(), read(&gone).as_str()),
        ("theirs", "ours", "ours")
    );
    let told: Vec<_> = written.changed.iter().map(|(_, step)| *step).collect();
    assert_eq!(told, [FileStep::Keep, FileStep::Replace]);
    assert!(!written.files.contains_key(&kept.display().to_string()) && written.files.len() == 2);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
}

#[test]
fn an_edit_that_hides_is_seen() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    let files = [planned(&path, true)];
    let known = settled(root.path(), &files);
    let before = fs::metadata(&path).unwrap();
    // The same file with as many bytes, and its time put back.
    fs::write(&path, "OURS").unwrap();
    let edited = fs::OpenOptions::new().write(true).open(&path).unwrap();
    edited.set_modified(before.modified().unwrap()).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (stamp_of(&after).inode, after.modified().unwrap()),
        (stamp_of(&before).inode, before.modified().unwrap())
    );
    let written = write(root.path(), &files, &known);
    assert_eq!(written.changed, [(path.display().to_string(), FileStep::Keep)]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "OURS");
}

#[test]
fn what_an_older_version_remembered_is_read_once_more() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    let mut known = settled(root.path(), &[planned(&path, true)]);
    let settled = known.clone();
    known.values_mut().for_each(|file| file.stamp = None);
    assert_eq!(write(root.path(), &[planned(&path, true)], &known).files, settled);
}

#[test]
fn what_is_no_file_is_neither_read_nor_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let written = write(root.path(), &[planned(&path, false)], &BTreeMap::new());
    assert_eq!(written.changed.len(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
}

#[test]
fn a_planted_link_leads_nowhere() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
    let error = write_files(
        root.path(),
        &[],
        &[planned(&root.path().join("link/file"), false)],
        &BTreeMap::new(),
        false,
    )
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::PathOutsideWorkspace);
    let target = outside.path().join("target");
    fs::write(&target, "theirs").unwrap();
    std::os::unix::fs::symlink(&target, root.path().join("file")).unwrap();
    write(root.path(), &[planned(&root.path().join("file"), false)], &BTreeMap::new());
    assert_eq!(fs::read_to_string(target).unwrap(), "theirs", "the link was replaced, not followed");
}

#[test]
fn a_path_outside_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for path in ["/etc/x", "../x"] {
        let path = if path.starts_with('/') { path.into() } else { root.path().join(path) };
        assert!(write_files(root.path(), &[], &[planned(&path, false)], &BTreeMap::new(), false).is_err());
    }
}

#[test]
fn what_is_not_planned_any_more_goes_unless_somebody_changed_it() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| planned(&root.path().join(name), true);
    let all = [at("s/a/x"), at("s/a/y"), at("s/b/x"), at("s/c/x")];
    let known = write(root.path(), &all, &BTreeMap::new()).files;
    fs::write(root.path().join("s/b/x"), "theirs").unwrap();
    fs::write(root.path().join("s/a/theirs"), "theirs").unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x"), fs::read(root.path().join("s/c/x")).unwrap()).unwrap();
    fs::remove_dir_all(root.path().join("s/c")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("s/c")).unwrap();
    let written = write(root.path(), &[at("s/a/y")], &known);
    let path = |name: &str| root.path().join(name).display().to_string();
    assert_eq!(written.forgotten, [path("s/a/x"), path("s/b/x"), path("s/c/x")]);
    assert_eq!(written.kept, [path("s/b/x")]);
    assert!(!Path::new(&path("s/a/x")).exists() && Path::new(&path("s/a/theirs")).exists());
    assert!(Path::new(&path("s/a/y")).exists() && outside.path().join("x").exists());
    let known = BTreeMap::from([(path("s/a/y"), known[&path("s/a/y")].clone())]);
    fs::remove_file(path("s/a/theirs")).unwrap();
    write(root.path(), &[], &known);
    assert!(!Path::new(&path("s/a")).exists() && Path::new(&path("s")).exists(), "only what is empty goes");
}
