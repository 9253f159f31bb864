//! Names of tools: the script says what it wants, the request's tool list says what that is called.

use serde_json::{Value, json};

/// The shell tools of the known CLIs, and the argument that takes the command.
const SHELL_TOOLS: [(&str, &str); 5] = [
    ("Bash", "command"),
    ("bash", "command"),
    ("exec_command", "cmd"),
    ("run_shell_command", "command"),
    ("run_terminal_command", "command"),
];

/// Name and input of the call that runs a command; `None` when no known shell tool is offered.
pub(crate) fn shell_call(offered: &[String], command: &str) -> Option<(String, Value)> {
    let (name, argument) = SHELL_TOOLS.iter().find(|(name, _)| offers(offered, name))?;
    let mut input = json!({*argument: command});
    // Required by these two, shown to the user by all that know it.
    if matches!(*name, "Bash" | "bash") {
        input["description"] = json!("Run the scripted command");
    }
    Some(((*name).to_owned(), input))
}

/// Name and input of the call of an MCP tool.
///
/// The tool may be missing from the list because the CLI defers MCP tools; then the name is the one that
/// most CLIs use, `mcp__server__tool`.
pub(crate) fn mcp_call(offered: &[String], server: &str, tool: &str, input: Value) -> (String, Value) {
    let usual = format!("mcp__{server}__{tool}");
    let spellings = [usual.clone(), format!("mcp_{server}_{tool}"), format!("{server}_{tool}")];
    if let Some(name) = spellings.into_iter().find(|name| offers(offered, name)) {
        return (name, input);
    }
    if offers(offered, "use_tool") {
        let input = json!({"tool_name": format!("{server}__{tool}"), "tool_input": input});
        return ("use_tool".to_owned(), input);
    }
    (usual, input)
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
            ("Bash", "command"),
            ("bash", "command"),
            ("exec_command", "cmd"),
            ("run_shell_command", "command"),
        ];
        for (tool, argument) in table {
            let (name, input) = shell_call(&list(&["Read", tool]), "ls").unwrap();
            assert_eq!((name.as_str(), &input[argument]), (tool, &json!("ls")));
        }
        assert_eq!(shell_call(&list(&["Read"]), "ls"), None);
    }

    #[test]
    fn an_mcp_tool_is_named_as_listed_or_in_the_usual_way_when_deferred() {
        let input = json!({"a": 1});
        let table = [
            (list(&["mcp__s__t"]), "mcp__s__t"),
            (list(&["mcp_s_t"]), "mcp_s_t"),
            (list(&["s_t"]), "s_t"),
            (list(&["ToolSearch"]), "mcp__s__t"),
        ];
        for (offered, expected) in table {
            assert_eq!(mcp_call(&offered, "s", "t", input.clone()), (expected.to_owned(), input.clone()));
        }
        let wrapped = json!({"tool_name": "s__t", "tool_input": input});
        assert_eq!(mcp_call(&list(&["use_tool"]), "s", "t", input), ("use_tool".to_owned(), wrapped));
    }
}
