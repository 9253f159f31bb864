//! A mission gets what its profile, its template and itself name, and what it does not name it gets whole.

use super::super::{SourceFile, check_library};
use super::*;

fn library() -> Library {
    let skill = |name: &str| format!("---\nname: {name}\ndescription: d\n---\nx\n");
    let agent = "---\ndescription: d\n---\nBe it.\n";
    let files = [
        ("skills/one/SKILL.md", skill("one")),
        ("skills/two/SKILL.md", skill("two")),
        ("skills/orchestrator-boss/SKILL.md", skill("orchestrator-boss")),
        ("agents/a.md", agent.to_owned()),
        ("agents/b.md", agent.to_owned()),
        ("commands/c.md", "Do it.".to_owned()),
        ("rules/r.md", "Hold it.".to_owned()),
        ("rules/s.md", "Hold that.".to_owned()),
        ("tools/t", "#!/bin/sh\n".to_owned()),
        ("mcps/plain.toml", "command = \"p\"".to_owned()),
        ("mcps/keyed.toml", "command = \"k\"\nenv = { K = \"${KEY}\" }".to_owned()),
        ("mcps/broken.toml", "command = 7".to_owned()),
        (
            "configs/lean/profile.toml",
            "skills = [\"one\", \"gone\"]\nagents = []\nrules = [\"r\"]".to_owned(),
        ),
        ("configs/served/profile.toml", "mcps = [\"plain\", \"keyed\", \"desktop\", \"broken\"]".to_owned()),
    ];
    let file =
        |(path, text): (&str, String)| SourceFile { path: path.into(), executable: false, content: Ok(text) };
    check_library(&files.map(file))
}

const PLACES: LibraryPlaces = LibraryPlaces { agents: None, commands: None, native: None };

fn get(selection: &Selection<'_>) -> Result<Resolved, ApiError> {
    resolve_library(&library(), selection, PLACES, &|_| None)
}

fn skills(resolved: &Resolved) -> Vec<&str> {
    resolved.skills.iter().map(|skill| skill.name.as_str()).collect()
}

#[test]
fn without_a_word_everything_is_given_but_servers_and_the_skills_of_parts() {
    let all = get(&Selection::default()).unwrap();
    assert_eq!(skills(&all), ["one", "two"]);
    let counts = (all.agents.len(), all.commands.len(), all.rules.len(), all.tools.len());
    assert_eq!((counts, all.servers.len(), all.built_in.len()), ((2, 1, 2, 1), 0, 0));
    assert_eq!((all.warnings.len(), all.settings, all.agent), (0, None, None));
}

#[test]
fn lists_of_a_profile_count_and_what_they_miss_is_told() {
    let lean = get(&Selection { profile: Some("lean"), ..Selection::default() }).unwrap();
    assert_eq!(
        (skills(&lean), lean.agents.len(), lean.commands.len(), lean.rules.len()),
        (vec!["one"], 0, 1, 1)
    );
    assert_eq!(lean.warnings.len(), 1);
    assert!(lean.warnings[0].contains("gone"));
}

#[test]
fn a_templates_skills_are_joined_to_those_of_the_profile() {
    let template = ["two".to_owned()];
    let alone = get(&Selection { template_skills: &template, ..Selection::default() }).unwrap();
    assert_eq!(skills(&alone), ["two"]);
    let both = Selection { profile: Some("lean"), template_skills: &template, ..Selection::default() };
    assert_eq!(skills(&get(&both).unwrap()), ["one", "two"]);
}

#[test]
fn servers_come_from_the_mission_the_profile_and_the_template_each_once() {
    let (own, template) =
        (["workspace".to_owned(), "plain".to_owned()], ["plain".to_owned(), "workspace".to_owned()]);
    let selection =
        Selection { profile: Some("served"), mcps: &own, template_mcps: &template, ..Selection::default() };
    let found = resolve_library(&library(), &selection, PLACES, &|name| Some(format!("<{name}>"))).unwrap();
    let names: Vec<_> = found.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["plain", "keyed"]);
    assert_eq!(found.built_in, [("workspace", "workspace-mcp"), ("desktop", "desktop-mcp")]);
    assert!(format!("{:?}", found.servers[1].transport).contains("<KEY>"));
    assert!(found.warnings.iter().any(|warning| warning.contains("broken")), "{:?}", found.warnings);
}

#[test]
fn what_a_mission_names_itself_must_be_there() {
    let one = |name: &str| vec![name.to_owned()];
    let none = Selection::default();
    for (selection, field, words) in [
        (Selection { profile: Some("nobody"), ..none }, "config_profile", "nobody"),
        (Selection { agent: Some("nobody"), ..none }, "agent", "nobody"),
        (Selection { mcps: &one("nobody"), ..none }, "mcps[0]", "nobody"),
        (Selection { mcps: &one("broken"), ..none }, "mcps[0]", "broken.toml:1"),
        (Selection { mcps: &one("keyed"), ..none }, "mcps[0]", "KEY"),
    ] {
        let error = get(&selection).unwrap_err();
        assert_eq!(error.field.as_deref(), Some(field));
        assert!(error.message.contains(words) && !error.hint.is_empty(), "{error:?}");
    }
    assert!(get(&Selection { profile: Some(DEFAULT_PROFILE), ..none }).is_ok(), "it need not be there");
}

#[test]
fn a_secret_that_a_profile_wants_and_nobody_set_leaves_its_server_out() {
    let found = get(&Selection { profile: Some("served"), ..Selection::default() }).unwrap();
    assert_eq!(found.servers.len(), 1);
    assert!(found.warnings.iter().any(|warning| warning.contains("\"KEY\"")), "{:?}", found.warnings);
}

#[test]
fn rules_and_the_role_stand_in_the_instructions() {
    let found = get(&Selection { agent: Some("a"), profile: Some("lean"), ..Selection::default() }).unwrap();
    let text = library_instructions(&found);
    assert_eq!(text, "\n# Your role: a\n\nBe it.\n\n# Rule: r\n\nHold it.\n");
    let said = Resolved { instructions: Some("Ask first.\n\n".to_owned()), ..Resolved::default() };
    assert_eq!(library_instructions(&said), "\nAsk first.\n");
    assert_eq!(library_instructions(&Resolved::default()), "");
}
