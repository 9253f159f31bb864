//! A Library is what its files say, and what is wrong has a place.

use super::super::{Unread, check_library};
use super::*;

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), executable: path.ends_with(".py"), content: Ok(text.to_owned()) }
}

fn read(files: &[(&str, &str)]) -> Library {
    check_library(&files.iter().map(|(path, text)| file(path, text)).collect::<Vec<_>>())
}

const SKILL: &str = "---\nname: review\ndescription: Reviews code\n---\nLook at it.\n";

#[test]
fn a_sound_library_has_everything_by_name_and_no_problems() {
    let library = read(&[
        ("README.md", "# Ours"),
        ("LICENSE", "x"),
        ("agents/README.md", "What lies here"),
        ("skills/review/SKILL.md", SKILL),
        ("skills/review/scripts/check.py", "#!/usr/bin/python3\n"),
        (
            "agents/critic.md",
            "---\nname: critic\ndescription: Finds faults\nmodel: opus\ntools: [Read]\n---\nBe strict.\n",
        ),
        ("commands/greet.md", "Greet $ARGUMENTS.\n"),
        ("rules/style.md", "Short words.\n"),
        ("mcps/web.toml", "command = \"web-mcp\""),
        ("tools/count.sh", "#!/bin/sh\nwc -l\n"),
        ("templates/big.toml", "extends = \"minimal\"\npackages = [\"jq\"]"),
        ("templates/small.yaml", "extends: minimal\npackages: [jq]\nenv: {A: b}\nlimits: {pids: 5}\n"),
        ("init-scripts/setup.sh", "true"),
        ("configs/lean/profile.toml", "skills = []\nmcps = [\"web\"]\ntools = [\"count.sh\"]"),
        ("configs/bare/profile.toml", ""),
    ]);
    assert_eq!(library.problems, []);
    let names: Vec<_> =
        library.names().iter().map(|(kind, name)| format!("{} {name}", kind.as_str())).collect();
    let want = [
        "skill review",
        "agent critic",
        "command greet",
        "rule style",
        "mcp web",
        "tool count.sh",
        "template big",
        "template small",
        "init_script setup",
        "profile bare",
        "profile lean",
    ];
    assert_eq!(names, want);
    let skill = &library.skills["review"];
    let programs: Vec<_> = skill.files.iter().map(|file| (file.path.as_str(), file.executable)).collect();
    assert_eq!(programs, [("SKILL.md", false), ("scripts/check.py", true)]);
    let critic = &library.agents["critic"];
    assert_eq!((critic.model.as_deref(), critic.prompt.as_str()), (Some("opus"), "Be strict.\n"));
    let unnamed = read(&[("agents/a.md", "---\ndescription: d\n---\nBe.\n")]);
    assert_eq!(unnamed.agents["a"].text, "---\nname: a\ndescription: d\n---\nBe.\n");
    assert_eq!(library.commands["greet"].description, "The command greet");
    assert_eq!(library.profiles["lean"].skills, Some(Vec::new()));
    assert_eq!(library.profiles["bare"].skills, None);
    let small = &library.templates["small"].template;
    assert_eq!(
        (&*small.packages, &*small.env["A"], small.limits.pids),
        (&["jq".to_owned()][..], "b", Some(5))
    );
}

#[test]
fn what_is_wrong_is_told_with_file_and_line_and_leaves_the_rest_alone() {
    for (path, text, line, words) in [
        ("skills/review/SKILL.md", "No front matter", Some(1), "front matter"),
        ("skills/review/SKILL.md", "---\nname: review\n---\nx", Some(1), "description"),
        ("skills/review/SKILL.md", "---\ndescription: d\nname: other\n---\nx", Some(3), "other"),
        ("skills/review/SKILL.md", "---\ndescription: d\n---\nx", Some(1), "name"),
        ("skills/review/SKILL.md", "---\nname: review\ndescription: [a\n---\nx", Some(3), ""),
        ("skills/review/notes.md", "x", None, "missing"),
        ("skills/Bad Name/SKILL.md", SKILL, None, "name"),
        ("skills/loose.md", "x", None, "folder"),
        ("agents/a.md", "No front matter", Some(1), "front matter"),
        ("agents/a.md", "---\ndescription: d\n---\n", None, "no text"),
        ("agents/a.md", "---\ndescription: d\nname: b\n---\nx", Some(3), "name"),
        ("agents/a.txt", "x", None, "ending"),
        ("agents/deep/a.md", "x", None, "folders"),
        ("commands/a.md", "---\ndescription: d\n---\n \n", None, "no text"),
        ("rules/a.md", "", None, "no text"),
        ("rules/A.md", "x", None, "name"),
        ("mcps/a.toml", "command = \"a\"\nx = 1", Some(2), "x"),
        ("mcps/a.yaml", "command: a", None, "ending"),
        ("tools/a", "echo", Some(1), "#!"),
        ("templates/a.toml", "packages = []\npackages = 7", Some(2), ""),
        ("templates/a.toml", "extends = \"nowhere\"", None, "nowhere"),
        ("templates/a.yaml", "extends: minimal\ncolour: red", Some(2), "colour"),
        ("templates/a.yml", "extends: minimal\n\npackages: 7", Some(3), ""),
        ("templates/a.yaml", "extends: minimal\npackages: [git\n", Some(2), "bracket"),
        ("templates/a.yaml", "network: bridge", Some(1), "bridge"),
        ("templates/a.yml", "packages: ['git; rm -rf /']", None, "package"),
        ("templates/a.json", "{}", None, "ending"),
        ("configs/p/profile.toml", "skills = [\n\"a\",\n7]", Some(3), ""),
        ("configs/p/profile.toml", "colours = []", Some(1), "colours"),
        ("configs/p/profile.toml", "mcps = [\"../x\"]", None, "no name"),
        ("configs/profile.toml", "", None, "folder"),
        ("rules/.git/x", "x", None, "git"),
    ] {
        let library = read(&[(path, text), ("rules/kept.md", "Kept.")]);
        assert_eq!(library.names().len(), 1, "{path}: {text}");
        let [problem] = library.problems.as_slice() else { panic!("{path}: {:?}", library.problems) };
        let wanted = if path == "skills/review/notes.md" { "skills/review/SKILL.md" } else { path };
        assert!(wanted.starts_with(&problem.path), "{path}: {problem}");
        assert_eq!(problem.line, line, "{path}: {problem}");
        assert!(problem.message.contains(words), "{path}: {problem}");
    }
}

#[test]
fn a_template_that_nobody_can_be_sure_of_takes_those_that_extend_it_with_it() {
    let doubled = [
        ("templates/minimal.toml", "packages = [\"git\"]"),
        ("templates/minimal.yaml", "packages: [git]"),
        ("templates/own.yml", "extends: minimal"),
        ("templates/other.yml", "packages: [jq]"),
    ];
    let library = read(&doubled);
    assert_eq!(library.templates.keys().collect::<Vec<_>>(), ["other"]);
    let told: Vec<_> = library.problems.iter().map(ToString::to_string).collect();
    let double = "templates/minimal.yaml: templates/minimal.toml is the template \"minimal\" as well: keep one of the two";
    let above = format!("templates/own.yml: the Library's template is not sound: {double}");
    assert_eq!(told, [double, above.as_str()]);
    let refused = library.template("minimal").unwrap_err();
    assert!(refused.message.contains(double), "the built-in one is not taken instead: {refused:?}");
    // Whichever of the two is sound, it is not clear that it is the one that is meant.
    for (toml, yaml) in [("packages = 7", "packages: [git]"), ("packages = []", "packages: 7")] {
        let library = read(&[("templates/a.toml", toml), ("templates/a.yml", yaml)]);
        assert!(library.templates.is_empty() && library.template("a").is_err(), "{toml} {yaml}");
    }
    assert_eq!(library.template("nowhere"), Ok(None));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_and_its_skill_goes_without_it() {
    for why in [Unread::Link, Unread::Special, Unread::TooLarge, Unread::Binary, Unread::Failed] {
        let other = SourceFile { path: "skills/review/x".to_owned(), executable: false, content: Err(why) };
        let rule = SourceFile { path: "rules/x.md".to_owned(), ..other.clone() };
        let library = check_library(&[file("skills/review/SKILL.md", SKILL), other, rule]);
        assert_eq!(library.skills["review"].files.len(), 1);
        let told: Vec<_> = library.problems.iter().map(|p| (p.path.as_str(), p.message.as_str())).collect();
        assert_eq!(told, [("rules/x.md", why.as_str()), ("skills/review/x", why.as_str())]);
    }
}

#[test]
fn problems_are_bounded() {
    let files: Vec<_> = (0..1000).map(|n| file(&format!("rules/{n}.txt"), "x")).collect();
    assert_eq!(check_library(&files).problems.len(), MOST_PROBLEMS);
    let many: Vec<_> = (0..200).map(|n| file(&format!("skills/review/{n}"), "x")).collect();
    let library = check_library(&[many, vec![file("skills/review/SKILL.md", SKILL)]].concat());
    assert!(library.skills.is_empty() && library.problems[0].message.contains("more than"));
}
