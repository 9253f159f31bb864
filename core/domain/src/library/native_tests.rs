//! Each harness's own files of a profile are taken, given to it alone, or told with the reason.

use super::super::{Selection, check_library, resolve_library};
use super::*;

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), executable: path.ends_with(".sh"), content: Ok(text.to_owned()) }
}

fn settings(place: &NativePlace) -> &'static str {
    if place.settings.ends_with(".json") { "{\"theirs\": 1}" } else { "theirs = 1\n" }
}

#[test]
fn each_harness_gets_its_settings_instructions_and_other_files_and_nobody_elses() {
    let mut files = Vec::new();
    for place in places() {
        let at = |name: &str| format!("configs/p/{}/{name}", place.folder);
        files.extend([
            file(&at(place.settings), settings(&place)),
            file(&at(place.instructions), &format!("For {}.\n", place.folder)),
            file(&at("hooks/look.sh"), "#!/bin/sh\n"),
            file(&at("more.json"), "{}"),
        ]);
    }
    let library = check_library(&files);
    assert_eq!(library.problems, []);
    let profile = Selection { profile: Some("p"), ..Selection::default() };
    for harness in registry() {
        let places = harness.library_places();
        let found = resolve_library(&library, &profile, places, &|_| None).unwrap();
        let Some(place) = places.native else {
            assert_eq!((found.settings, found.native.len()), (None, 0));
            continue;
        };
        assert_eq!(place.folder, harness.id());
        let from = format!("configs/p/{}/{}", place.folder, place.settings);
        assert_eq!(found.settings, Some((from, settings(&place).to_owned())));
        assert_eq!(found.instructions, Some(format!("For {}.\n", place.folder)));
        let native: Vec<_> = found.native.iter().map(|file| (file.path.as_str(), file.executable)).collect();
        assert_eq!(native, [("hooks/look.sh", true), ("more.json", false)]);
    }
}

#[test]
fn what_is_the_platforms_or_a_login_is_no_profiles() {
    for place in places() {
        let over = |known: &&str| format!("{known}/x");
        let into = place.reserved.iter().map(over).chain([format!("{}/x", place.settings)]);
        for path in place.reserved.iter().map(|known| (*known).to_owned()).chain(into) {
            let path = format!("configs/p/{}/{path}", place.folder);
            let library = check_library(&[file(&path, "{}")]);
            let [problem] = library.problems.as_slice() else { panic!("{path}: {:?}", library.problems) };
            assert!(problem.path == path && problem.message.contains(place.instructions), "{problem}");
            assert_eq!(library.profiles.len(), 0, "{path}");
        }
    }
}

#[test]
fn what_has_no_place_is_told_and_broken_settings_are_told_and_kept() {
    for (path, words) in [
        ("configs/p/nobody/settings.json", "no backend"),
        ("configs/p/loose.json", "folder of a backend"),
        ("configs/Bad Name/x/y", "name"),
    ] {
        let library = check_library(&[file(path, "{}"), file("configs/p/README.md", "x")]);
        let [problem] = library.problems.as_slice() else { panic!("{path}: {:?}", library.problems) };
        assert!(problem.message.contains(words), "{problem}");
        assert_eq!(library.profiles.len(), 0);
    }
    for place in places() {
        let path = format!("configs/p/{}/{}", place.folder, place.settings);
        let library = check_library(&[file(&path, "\n= {")]);
        assert_eq!(
            library.problems.iter().map(|p| (p.path.as_str(), p.line)).collect::<Vec<_>>(),
            [(path.as_str(), Some(2))]
        );
        assert_eq!(library.profiles["p"].files.len(), 1, "the agent does not start without them");
    }
}
