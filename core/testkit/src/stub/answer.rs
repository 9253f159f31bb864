//! From the chosen step to the answer, still without any API's wire format.

use serde_json::{Value, json};

use super::{
    choose::Conversation,
    script::{Question, Step, ToolCall},
    template::Results,
    tools,
};

/// The content of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Blocks in the order they are said.
    pub blocks: Vec<Block>,
}

/// One block of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Thinking.
    Thinking(String),
    /// Visible text.
    Text(String),
    /// A tool call.
    Tool {
        /// The name as the asking CLI knows it.
        name: String,
        /// The arguments: an object, or a text for a tool that takes one.
        input: Value,
    },
}

/// Fills the templates of a step and resolves its tools.
///
/// # Errors
/// A sentence naming the template without value or the missing tool.
pub fn compose(step: &Step, conversation: &Conversation) -> Result<Answer, String> {
    let results = Results::read(conversation.results());
    let fill = |text: &str| results.fill(text).map_err(no_value);
    let mut blocks = Vec::new();
    if let Some(thinking) = &step.thinking {
        blocks.push(Block::Thinking(fill(thinking)?));
    }
    if let Some(form) = conversation.form.as_ref().filter(|_| conversation.is_side_request()) {
        blocks.push(Block::Text(example(form).to_string()));
    } else if let Some(text) = &step.text {
        blocks.push(Block::Text(fill(text)?));
    }
    let bash = step.bash.iter().map(|bash| ToolCall::Bash { bash: bash.clone() });
    for call in bash.chain(step.tool.iter().chain(&step.tools).cloned()) {
        blocks.push(resolve(&call, &results, &conversation.tools)?);
    }
    Ok(Answer { blocks })
}

fn resolve(call: &ToolCall, results: &Results, offered: &[String]) -> Result<Block, String> {
    let filled = |input: &Value| match input {
        Value::Null => Ok(json!({})),
        other => results.fill_value(other).map_err(no_value),
    };
    let (name, input) = match call {
        ToolCall::Mcp { mcp: (server, tool), input } => {
            tools::mcp_call(offered, server, tool, filled(input)?)
        }
        ToolCall::Named { name, input } => (name.clone(), filled(input)?),
        ToolCall::Bash { bash } => {
            let command = results.fill(bash).map_err(no_value)?;
            tools::shell_call(offered, &command).ok_or("the request offers no known shell tool")?
        }
        ToolCall::Ask { ask } => {
            let fill = |text: &String| results.fill(text).map_err(no_value);
            let options = ask.options.iter().map(fill).collect::<Result<_, _>>()?;
            let ask = Question { question: fill(&ask.question)?, options };
            tools::question_call(offered, &ask).ok_or("the request offers no known question tool")?
        }
    };
    Ok(Block::Tool { name, input })
}

/// The least that a schema of JSON accepts.
fn example(schema: &Value) -> Value {
    let word = schema["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    match (word.as_str(), schema["enum"][0].as_str()) {
        (_, Some(first)) => json!(first),
        ("object", None) => {
            let fields = schema["properties"].as_object();
            fields.into_iter().flatten().map(|(name, field)| (name.clone(), example(field))).collect()
        }
        ("array", None) => json!([]),
        ("integer" | "number", None) => json!(1),
        ("boolean", None) => json!(false),
        _ => json!("stub"),
    }
}

fn no_value(template: String) -> String {
    format!("no earlier tool result has a value for {{{{{template}}}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::choose::Entry;

    #[test]
    fn a_step_gives_thinking_text_and_all_its_tools_in_order() {
        let step = Step {
            thinking: Some("hm".into()),
            bash: Some("echo {{find:id}}".into()),
            tools: vec![
                ToolCall::Named { name: "Read".into(), input: Value::Null },
                ToolCall::Mcp { mcp: ("s".into(), "t".into()), input: json!({"id": "{{find:id}}"}) },
            ],
            ..Step::text("say")
        };
        let conversation = Conversation {
            tools: vec!["Bash".into()],
            entries: vec![Entry::User { texts: vec![], results: vec![r#"{"id":5}"#.into()] }],
            ..Conversation::default()
        };
        let blocks = compose(&step, &conversation).unwrap().blocks;
        let bash = json!({"command": "echo 5", "description": "Run the scripted command"});
        assert_eq!(
            blocks,
            [
                Block::Thinking("hm".into()),
                Block::Text("say".into()),
                Block::Tool { name: "Bash".into(), input: bash },
                Block::Tool { name: "Read".into(), input: json!({}) },
                Block::Tool { name: "mcp__s__t".into(), input: json!({"id": 5}) },
            ]
        );
    }

    #[test]
    fn a_side_request_that_wants_a_form_gets_it() {
        let form = json!({"type": "OBJECT", "properties": {
            "why": {"type": "STRING"}, "score": {"type": "INTEGER"}, "which": {"type": "STRING", "enum": ["a", "b"]},
        }});
        let conversation = Conversation { form: Some(form), ..Conversation::default() };
        let blocks = compose(&Step::text("stub title"), &conversation).unwrap().blocks;
        let [Block::Text(text)] = blocks.as_slice() else { panic!("{blocks:?}") };
        let answer: Value = serde_json::from_str(text).unwrap();
        assert_eq!(answer, json!({"why": "stub", "score": 1, "which": "a"}));
    }

    #[test]
    fn a_step_that_cannot_be_composed_says_why() {
        let nothing = Conversation::default();
        assert!(compose(&Step::bash("ls"), &nothing).unwrap_err().contains("shell tool"));
        let ask = Step::ask("Which?", ["A", "B"]);
        assert!(compose(&ask, &nothing).unwrap_err().contains("question tool"));
        assert!(compose(&Step::text("{{find:id}}"), &nothing).unwrap_err().contains("{{find:id}}"));
    }
}
