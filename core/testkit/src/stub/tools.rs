//! Names of tools: the script says what it wants, the request's tool list says what that is called.

use serde_json::{Value, json};

use super::script::Question;

/// The tool in which some models write JavaScript that calls the other tools.
const CODE: &str = "functions.exec";

/// Shown by those CLIs that ask for it.
const DESCRIPTION: &str = "Run the scripted command";

/// The input that makes a tool run a command.
type RunInput = fn(&str) -> Value;

/// The shell tools of the known CLIs.
const SHELL_TOOLS: [(&str, RunInput); 8] = [
    ("Bash", described),
    ("run_terminal_command", described),
    ("bash", described),
    ("run_shell_command", described),
    // The longest that it waits before the model hears of a command that runs on.
    ("exec_command", |command| json!({"cmd": command, "yield_time_ms": 30_000})),
    ("shell_command", |command| json!({"command": command})),
    ("shell", |command| json!({"command": ["bash", "-lc", command]})),
    (CODE, |command| Value::String(shell_code(command))),
];

fn described(command: &str) -> Value {
    json!({"command": command, "description": DESCRIPTION})
}

/// Goes on waiting for a command that takes long.
fn shell_code(command: &str) -> String {
    let input = json!({"cmd": command, "yield_time_ms": 30_000});
    format!(
        "// @exec: {{\"yield_time_ms\": 600000}}\n\
         let done = await tools.exec_command({input});\n\
         let output = done.output;\n\
         while (done.session_id !== undefined) {{\n\
           done = await tools.write_stdin({{session_id: done.session_id, yield_time_ms: 30000}});\n\
           output += done.output;\n\
         }}\n\
         text(output);"
    )
}

/// Name and input of the call that runs a command; `None` when no known shell tool is offered.
pub(crate) fn shell_call(offered: &[String], command: &str) -> Option<(String, Value)> {
    let (name, input) = SHELL_TOOLS.iter().find(|(name, _)| offers(offered, name))?;
    Some(((*name).to_owned(), input(command)))
}

/// Name and input of the call of an MCP tool.
///
/// The tool may be missing from the list because the CLI defers MCP tools; then the name is the one by which this CLI
/// takes it all the same, for most `mcp__server__tool`.
pub(crate) fn mcp_call(offered: &[String], server: &str, tool: &str, input: Value) -> (String, Value) {
    let usual = format!("mcp__{server}__{tool}");
    // Codex makes names of servers identifiers.
    let in_namespace = format!("mcp__{}.{tool}", identifier(server));
    let spellings =
        [usual.clone(), in_namespace.clone(), format!("mcp_{server}_{tool}"), format!("{server}_{tool}")];
    if let Some(name) = spellings.into_iter().find(|name| offers(offered, name)) {
        return (name, input);
    }
    if offers(offered, "use_tool") {
        let input = json!({"tool_name": format!("{server}__{tool}"), "tool_input": input});
        return ("use_tool".to_owned(), input);
    }
    if offers(offered, CODE) {
        let code = format!(
            "const answer = await tools.{}({input});\n\
             for (const part of answer.content ?? []) if (part.type === \"text\") text(part.text);",
            identifier(&usual)
        );
        return (CODE.to_owned(), Value::String(code));
    }
    if offers(offered, "tool_search") {
        return (in_namespace, input);
    }
    (usual, input)
}

/// A name as JavaScript takes it.
fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A question as a tool takes it, with its options.
type QuestionInput = fn(Vec<Value>, &Question) -> Value;

/// The question tools of the known CLIs.
const QUESTION_TOOLS: [(&str, QuestionInput); 6] = [
    (
        "AskUserQuestion",
        |options, ask| json!({"question": ask.question, "header": HEADER, "multiSelect": false, "options": options}),
    ),
    ("ask_user_question", |options, ask| json!({"question": ask.question, "options": options})),
    (
        "ask_user",
        |options, ask| json!({"question": ask.question, "header": HEADER, "type": "choice", "options": options}),
    ),
    ("question", |options, ask| json!({"question": ask.question, "header": HEADER, "options": options})),
    ("request_user_input", with_id),
    ("functions.request_user_input", with_id),
];

/// The longest that fits all CLIs has 12 characters.
const HEADER: &str = "Question";

fn with_id(options: Vec<Value>, ask: &Question) -> Value {
    json!({"id": "question", "question": ask.question, "header": HEADER, "options": options})
}

/// Name and input of the call that asks the user; `None` when no known question tool is offered.
pub(crate) fn question_call(offered: &[String], ask: &Question) -> Option<(String, Value)> {
    let (name, question) = QUESTION_TOOLS.iter().find(|(name, _)| offers(offered, name))?;
    let option = |label: &String| json!({"label": label, "description": format!("Take {label}")});
    let options = ask.options.iter().map(option).collect();
    Some(((*name).to_owned(), json!({"questions": [question(options, ask)]})))
}

fn offers(offered: &[String], name: &str) -> bool {
    offered.iter().any(|tool| tool == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_shell_tool_is_the_one_the_request_offers() {
        let table = [
            ("Bash", "/command", json!("ls")),
            ("bash", "/command", json!("ls")),
            ("exec_command", "/cmd", json!("ls")),
            ("shell", "/command/2", json!("ls")),
            ("run_shell_command", "/command", json!("ls")),
            ("run_terminal_command", "/description", json!(DESCRIPTION)),
        ];
        for (tool, argument, value) in table {
            let (name, input) = shell_call(&list(&["Read", tool]), "ls").unwrap();
            assert_eq!((name.as_str(), input.pointer(argument)), (tool, Some(&value)));
        }
        assert_eq!(shell_call(&list(&["Read"]), "ls"), None);
        let (name, code) = shell_call(&list(&["functions.exec"]), "echo \"a\"").unwrap();
        assert_eq!(name, "functions.exec");
        assert!(code.as_str().unwrap().contains(r#"tools.exec_command({"cmd":"echo \"a\"","#), "{code}");
    }

    #[test]
    fn an_mcp_tool_is_named_as_listed_or_in_the_usual_way_when_deferred() {
        let input = json!({"a": 1});
        let table = [
            (list(&["mcp__s__t"]), "mcp__s__t"),
            (list(&["mcp__s.t", "functions.exec"]), "mcp__s.t"),
            (list(&["tool_search"]), "mcp__s.t"),
            (list(&["mcp_s_t"]), "mcp_s_t"),
            (list(&["s_t"]), "s_t"),
            (list(&["ToolSearch"]), "mcp__s__t"),
        ];
        for (offered, expected) in table {
            assert_eq!(mcp_call(&offered, "s", "t", input.clone()), (expected.to_owned(), input.clone()));
        }
        let hyphen = mcp_call(&list(&["tool_search"]), "my-s", "t", input.clone());
        assert_eq!(hyphen.0, "mcp__my_s.t");
        let wrapped = json!({"tool_name": "s__t", "tool_input": input});
        assert_eq!(mcp_call(&list(&["use_tool"]), "s", "t", input.clone()), ("use_tool".to_owned(), wrapped));
        let (name, code) = mcp_call(&list(&["functions.exec"]), "my-s", "t", input);
        assert_eq!(name, "functions.exec");
        assert!(code.as_str().unwrap().contains(r#"tools.mcp__my_s__t({"a":1})"#), "{code}");
    }

    #[test]
    fn a_question_goes_to_the_tool_that_asks() {
        let ask = Question { question: "Which?".into(), options: list(&["A", "B"]) };
        for (tool, _) in QUESTION_TOOLS {
            let (name, input) = question_call(&list(&["Read", tool]), &ask).unwrap();
            assert_eq!(name, tool);
            assert_eq!(input["questions"][0]["question"], "Which?");
            assert_eq!(input["questions"][0]["options"][1]["label"], "B");
        }
        assert_eq!(question_call(&list(&["Read"]), &ask), None);
    }
}
