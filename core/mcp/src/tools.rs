//! The shape of tools: name, description, hints and schemas. Those whose answer is text or a picture have no output
//! schema: structured content would replace both in the clients.

use std::sync::Arc;

use rmcp::{
    handler::server::tool::{schema_for_input, schema_for_output},
    model::{JsonObject, Tool, ToolAnnotations},
};
use schemars::JsonSchema;
use serde_json::Value;

/// Longest description in characters.
const DESCRIPTION: usize = 300;
/// What Codex shows of a server's instructions, in characters.
const FIRST_WORDS: usize = 250;

/// What a call does to the world.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// Changes nothing.
    Reads,
    /// Changes or removes what was there.
    Changes,
    /// Adds what comes from elsewhere.
    Fetches,
    /// Anything, the network included.
    Runs,
    /// Adds to what is there; each call counts.
    Adds,
    /// Adds to what is there; the second equal call changes nothing more.
    Settles,
}

/// A tool whose answer is text.
///
/// # Errors
/// When its schema cannot be made.
pub fn text<P: JsonSchema + 'static>(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    effect: Effect,
) -> Result<Tool, String> {
    let input = shorten(schema_for_input::<P>().map_err(|error| format!("{name}: {error}"))?);
    let (read_only, destructive, repeatable, open) = match effect {
        Effect::Reads => (true, false, true, false),
        Effect::Changes => (false, true, false, false),
        Effect::Fetches => (false, false, false, true),
        Effect::Runs => (false, true, false, true),
        Effect::Adds => (false, false, false, false),
        Effect::Settles => (false, false, true, false),
    };
    let hints = ToolAnnotations::from_raw(
        Some(title.to_owned()),
        Some(read_only),
        Some(destructive),
        Some(repeatable),
        Some(open),
    );
    Ok(Tool::new(name, description, input).with_annotations(hints))
}

/// A tool whose answer is data.
///
/// # Errors
/// When a schema cannot be made.
pub fn data<P: JsonSchema + 'static, R: JsonSchema + 'static>(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    effect: Effect,
) -> Result<Tool, String> {
    Ok(text::<P>(name, title, description, effect)?.with_raw_output_schema(shorten(schema_for_output::<R>())))
}

/// The same schema in fewer tokens: a choice of constants becomes an `enum`.
fn shorten(schema: Arc<JsonObject>) -> Arc<JsonObject> {
    let mut schema = Arc::unwrap_or_clone(schema);
    schema.values_mut().for_each(fold_constants);
    Arc::new(schema)
}

fn fold_constants(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let choices = map.get("oneOf").and_then(Value::as_array);
            let constants: Option<Vec<Value>> = choices.and_then(|all| {
                all.iter().map(|choice| choice.get("const").filter(|c| c.is_string()).cloned()).collect()
            });
            if let Some(constants) = constants {
                map.remove("oneOf");
                map.insert("type".to_owned(), "string".into());
                map.insert("enum".to_owned(), constants.into());
            }
            map.values_mut().for_each(fold_constants);
        }
        Value::Array(list) => list.iter_mut().for_each(fold_constants),
        _ => {}
    }
}

/// What is wrong with a list of tools and the instructions that go with it: descriptions, hints, too many of them, a
/// first paragraph that Codex would cut, or names of tools that are not there. `words` are no tools although they look
/// like it. For a server's tests.
pub fn faults(tools: &[Tool], instructions: &str, most: usize, words: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    if tools.len() > most {
        faults.push(format!("{} tools", tools.len()));
    }
    for tool in tools {
        let length = tool.description.as_ref().map_or(0, |text| text.chars().count());
        if !(60..DESCRIPTION).contains(&length) {
            faults.push(format!("{}: a description of {length} characters", tool.name));
        }
        let hints = tool.annotations.clone().unwrap_or_default();
        let all =
            [hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint];
        if all.iter().any(Option::is_none) || hints.title.is_none() {
            faults.push(format!("{}: {all:?}", tool.name));
        }
    }
    let first = instructions.split("\n\n").next().unwrap_or_default().chars().count();
    if first > FIRST_WORDS {
        faults.push(format!("a first paragraph of {first} characters"));
    }
    let named =
        instructions.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.contains('_'));
    faults.extend(
        named
            .filter(|word| !words.contains(word) && !tools.iter().any(|tool| tool.name == *word))
            .map(|word| format!("{word} is no tool")),
    );
    faults
}
