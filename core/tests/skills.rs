//! The skills say nothing that the tools are not: names, fields and examples are held against the API's types.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sandboxed_domain::api::{
    AnswerWorkerParams, AnswerWorkerResponse, AttentionEvent, BackendAuthParams, BackendAuthResponse,
    BatchCreateParams, BatchCreateResponse, CancelWorkerParams, CancelWorkerResponse, GetWorkerParams,
    GetWorkerResponse, LayoutResponse, ListWorkersParams, ListWorkersResponse, NoParams, ReportOutcomeParams,
    ReportOutcomeResponse, ResumeWorkerParams, ResumeWorkerResponse, SendMessageParams, SendMessageResponse,
    TOOL_NAMES, WaitParams, WaitResponse,
};
use sandboxed_domain::policy::{check_batch, worker_spec};
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::Value;

const SKILLS: [&str; 2] = ["orchestrator-boss", "orchestrator-worker"];

fn text(skill: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../skills").join(skill).join("SKILL.md");
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display())).unwrap()
}

/// Front matter of plain one-line scalars: the part of YAML that every reader takes the same way.
fn front_matter(text: &str) -> Result<(BTreeMap<&str, &str>, &str), String> {
    let rest = text.strip_prefix("---\n").ok_or("does not begin with ---")?;
    let (head, body) = rest.split_once("\n---\n").ok_or("is not closed by ---")?;
    let mut keys = BTreeMap::new();
    for line in head.lines() {
        let (key, value) = line.split_once(": ").ok_or(format!("not `key: value`: {line}"))?;
        let special = |c: char| "&*!|>'\"%@`[]{},#?:-".contains(c);
        if value.starts_with(special) || value.contains(": ") || value.contains(" #") || value.ends_with(':')
        {
            return Err(format!("not a plain scalar: {value}"));
        }
        if key.starts_with(' ') || keys.insert(key, value).is_some() {
            return Err(format!("key {key:?} is indented or twice"));
        }
    }
    Ok((keys, body))
}

/// Fenced blocks: what follows the fence, and what stands inside.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (open, line.strip_prefix("```")) {
            (false, Some(info)) => {
                found.push((info, String::new()));
                open = true;
            }
            (true, Some(_)) => open = false,
            (true, None) => {
                let (_, content) = found.last_mut().unwrap();
                content.push_str(line);
                content.push('\n');
            }
            (false, None) => {}
        }
    }
    assert!(!open, "a fence is not closed");
    found
}

/// What stands in single backticks outside of fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    let mut open = false;
    let prose = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        open ^= fence;
        !open && !fence
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

/// All property names and enum values of a schema.
fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match (key.as_str(), inner) {
                    ("properties", Value::Object(properties)) => into.extend(properties.keys().cloned()),
                    ("enum", Value::Array(values)) => {
                        into.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("const", Value::String(value)) => {
                        into.insert(value.clone());
                    }
                    _ => {}
                }
                collect(inner, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, into)),
        _ => {}
    }
}

fn words<T: JsonSchema>() -> BTreeSet<String> {
    let mut into = BTreeSet::new();
    collect(schema_for!(T).as_value(), &mut into);
    into
}

/// A tool's words and whether an example of its input is one.
struct Tool {
    input: BTreeSet<String>,
    output: BTreeSet<String>,
    check: fn(Value) -> Result<(), String>,
}

fn tool<P: JsonSchema + DeserializeOwned, R: JsonSchema>() -> Tool {
    let check = |value| serde_json::from_value::<P>(value).map(drop).map_err(|error| error.to_string());
    Tool { input: words::<P>(), output: words::<R>(), check }
}

/// A batch passes when its frame and every entry do, as in the daemon.
fn check_whole_batch(value: Value) -> Result<(), String> {
    let batch: BatchCreateParams = serde_json::from_value(value).map_err(|error| error.to_string())?;
    check_batch(&batch).map_err(|error| error.to_string())?;
    for (index, worker) in batch.workers.iter().enumerate() {
        worker_spec(worker, index).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn tools() -> BTreeMap<&'static str, Tool> {
    let mut wait = tool::<WaitParams, WaitResponse>();
    wait.output.extend(words::<AttentionEvent>());
    BTreeMap::from([
        ("get_workspace_layout", tool::<NoParams, LayoutResponse>()),
        ("get_backend_auth_status", tool::<BackendAuthParams, BackendAuthResponse>()),
        (
            "batch_create_workers",
            Tool { check: check_whole_batch, ..tool::<BatchCreateParams, BatchCreateResponse>() },
        ),
        ("wait_for_any_worker", wait),
        ("get_worker", tool::<GetWorkerParams, GetWorkerResponse>()),
        ("list_workers", tool::<ListWorkersParams, ListWorkersResponse>()),
        ("resume_worker", tool::<ResumeWorkerParams, ResumeWorkerResponse>()),
        ("send_message_to_worker", tool::<SendMessageParams, SendMessageResponse>()),
        ("cancel_worker", tool::<CancelWorkerParams, CancelWorkerResponse>()),
        ("answer_worker", tool::<AnswerWorkerParams, AnswerWorkerResponse>()),
        ("report_outcome", tool::<ReportOutcomeParams, ReportOutcomeResponse>()),
    ])
}

/// Whether a quoted word claims to be a name of the API: `snake_case`, `SCREAMING_SNAKE` or `a.b`.
fn is_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '.';
    word.contains(['_', '.']) && word.chars().all(plain)
}

/// Whether the API has this name: a tool, a field, a value, or a path of them.
fn is_known(word: &str, tools: &BTreeMap<&str, Tool>) -> bool {
    let known = |name: &str| {
        tools.contains_key(name)
            || tools.values().any(|tool| tool.input.contains(name) || tool.output.contains(name))
    };
    match word.split_once('.') {
        Some((tool, field)) if tools.contains_key(tool) => tools[tool].input.contains(field),
        Some(_) => word.split('.').all(known),
        None => known(word),
    }
}

#[test]
fn front_matter_is_valid_yaml_with_name_and_description() {
    for skill in SKILLS {
        let text = text(skill);
        let (keys, body) = front_matter(&text).unwrap_or_else(|error| panic!("{skill}: {error}"));
        assert_eq!(keys.keys().copied().collect::<Vec<_>>(), ["description", "name"], "{skill}");
        assert_eq!(keys["name"], skill);
        assert!((50..=1024).contains(&keys["description"].len()), "{skill}: length of its description");
        assert!(body.trim_start().starts_with("# "), "{skill} has no heading");
    }
}

#[test]
fn skills_are_short() {
    assert!(text("orchestrator-boss").lines().count() < 150);
    assert!(text("orchestrator-worker").lines().count() < 60);
}

#[test]
fn every_name_in_backticks_exists() {
    let tools = tools();
    for skill in SKILLS {
        for word in quoted(&text(skill)).iter().filter(|word| is_name(word)) {
            assert!(is_known(word, &tools), "{skill} names `{word}`, which the API does not have");
        }
    }
}

#[test]
fn every_example_is_accepted() {
    let tools = tools();
    let mut seen = 0;
    for skill in SKILLS {
        for (info, content) in blocks(&text(skill)) {
            let name = info.strip_prefix("json ").unwrap_or_else(|| panic!("{skill}: a block of {info:?}"));
            let tool = tools.get(name).unwrap_or_else(|| panic!("{skill}: no tool {name:?}"));
            let value = serde_json::from_str(&content).unwrap_or_else(|e| panic!("{skill}, {name}: {e}"));
            (tool.check)(value).unwrap_or_else(|error| panic!("{skill}, {name}: {error}"));
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} examples");
}

#[test]
fn the_skills_together_name_every_tool() {
    let tools = tools();
    assert_eq!(tools.keys().copied().collect::<BTreeSet<_>>(), TOOL_NAMES.into_iter().collect());
    let named: BTreeSet<String> = SKILLS.iter().flat_map(|skill| quoted(&text(skill))).collect();
    for name in TOOL_NAMES {
        assert!(named.contains(name), "no skill names {name}");
    }
}

#[test]
fn the_checks_notice_what_is_wrong() {
    let tools = tools();
    for good in ["get_worker", "wait_for_any_worker.cursor", "verification.exit_code", "NOT_FEASIBLE"] {
        assert!(is_name(good) && is_known(good, &tools), "{good}");
    }
    for bad in ["get_workers", "wait_for_any_worker.after", "verification.exit_status", "NOT_POSSIBLE"] {
        assert!(is_name(bad) && !is_known(bad, &tools), "{bad}");
    }
    assert!(front_matter("---\nname: a\ndescription: b: c\n---\nx").is_err());
    assert!(front_matter("name: a\n").is_err());
    let no_title = r#"{"workers": [{"prompt": "p", "backend": "command"}]}"#;
    assert!((tools["batch_create_workers"].check)(serde_json::from_str(no_title).unwrap()).is_err());
    assert_eq!(quoted("a `b_c`\n```\n`d_e`\n```\n`f_g`"), ["b_c", "f_g"]);
    assert_eq!(blocks("x\n```json t\n{}\n```\n"), [("json t", "{}\n".to_owned())]);
}
