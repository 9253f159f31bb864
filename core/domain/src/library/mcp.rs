//! MCP servers: programs beside the harness, or addresses.
//!
//! ```toml
//! command = "npx"                        # or: url = "https://example.org/mcp"
//! args = ["-y", "@playwright/mcp"]
//! env = { TOKEN = "${PLAYWRIGHT_TOKEN}" } # or: headers = { Authorization = "Bearer ${EXAMPLE_TOKEN}" }
//! ```
//! `${NAME}` in `env` and `headers` is a secret of the machine, never of the Library.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::problem::{json, toml};
use super::{NAME_RULE, Problem, is_name};
use crate::harness::{LibraryServer, Transport};

/// Servers that are always there, and the program of each. A mission has them when they are selected.
pub const BUILT_IN_SERVERS: [(&str, &str); 2] = [("workspace", "workspace-mcp"), ("desktop", "desktop-mcp")];
/// Name of the server with the platform's own tools.
pub const PLATFORM_SERVER: &str = "orchestrator";
/// Longest list of arguments, variables or headers.
const MOST_ENTRIES: usize = 100;

/// The program of a built-in server.
pub fn built_in_program(name: &str) -> Option<&'static str> {
    BUILT_IN_SERVERS.iter().find(|(own, _)| *own == name).map(|(_, program)| *program)
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// A server of its file, whose ending says how it is written.
pub(super) fn server(name: &str, path: &str, text: &str) -> Result<LibraryServer, Problem> {
    let written: Written = if path.ends_with(".json") { json(path, text)? } else { toml(path, text)? };
    let built_in = BUILT_IN_SERVERS.iter().any(|(own, program)| name == *own || name == *program);
    if built_in || name == PLATFORM_SERVER {
        return Err(Problem::new(path, format!("{name:?} is the name of a built-in server")));
    }
    if name.contains("__") || !is_name(name) {
        return Err(Problem::new(path, format!("{name:?}: {NAME_RULE}, without two underscores in a row")));
    }
    let fault = |message: &str| Problem::new(path, message);
    if [written.args.len(), written.env.len(), written.headers.len()].iter().any(|n| *n > MOST_ENTRIES) {
        return Err(fault("has more than 100 args, variables or headers"));
    }
    let kind = written.kind.as_deref();
    let transport = match (written.command, written.url) {
        (Some(command), None) if matches!(kind, None | Some("stdio")) => {
            if !written.headers.is_empty() {
                return Err(fault("a program has no headers"));
            }
            stdio(path, command, written.args, written.env)?
        }
        (None, Some(url)) if matches!(kind, None | Some("http")) => {
            if !written.args.is_empty() || !written.env.is_empty() {
                return Err(fault("an address has neither args nor env"));
            }
            http(path, url, written.headers)?
        }
        (Some(_), Some(_)) => return Err(fault("has both command and url")),
        (None, None) => return Err(fault("has neither command nor url")),
        _ => return Err(fault("its type is `stdio` with a command or `http` with a url")),
    };
    Ok(LibraryServer { name: name.to_owned(), transport })
}

fn stdio(
    path: &str,
    command: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
) -> Result<Transport, Problem> {
    let fault = |message: String| Err(Problem::new(path, message));
    if command.trim().is_empty() || command.contains('\0') {
        return fault("its command is empty".to_owned());
    }
    // What stands in arguments is seen by every process of the sandbox.
    if let Some(bad) =
        args.iter().chain([&command]).find(|arg| arg.contains('\0') || !references(arg).is_empty())
    {
        return fault(format!("{bad:?} may not stand in args: secrets belong into env"));
    }
    let legal =
        |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    if let Some(bad) = env.keys().find(|name| !legal(name) || name.starts_with("SANDBOXED_SH_")) {
        return fault(format!("{bad:?} is not the name of a variable that it may set"));
    }
    Ok(Transport::Stdio { command, args, env })
}

fn http(path: &str, url: String, headers: BTreeMap<String, String>) -> Result<Transport, Problem> {
    let fault = |message: String| Err(Problem::new(path, message));
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || host.contains('@') || !url.chars().all(plain) {
        return fault("its url is no address of http or https without user and password".to_owned());
    }
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if let Some(bad) = headers.keys().find(|name| name.is_empty() || !name.chars().all(token)) {
        return fault(format!("{bad:?} is not the name of a header"));
    }
    if let Some((name, _)) = headers.iter().find(|(_, value)| value.chars().any(char::is_control)) {
        return fault(format!("the header {name:?} has control characters"));
    }
    Ok(Transport::Http { url, headers })
}

/// Names of the secrets that a text refers to.
fn references(text: &str) -> Vec<&str> {
    let parts = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    parts.map(|(name, _)| name).collect()
}

/// Puts secrets in the place of their names.
///
/// # Errors
/// The name of one that is not there.
pub fn with_secrets(
    server: &LibraryServer,
    find: &dyn Fn(&str) -> Option<String>,
) -> Result<LibraryServer, String> {
    let replaced = |values: &BTreeMap<String, String>| {
        values
            .iter()
            .map(|(name, text)| Ok((name.clone(), replace(text, find)?)))
            .collect::<Result<_, String>>()
    };
    let transport = match &server.transport {
        Transport::Stdio { command, args, env } => {
            Transport::Stdio { command: command.clone(), args: args.clone(), env: replaced(env)? }
        }
        Transport::Http { url, headers } => Transport::Http { url: url.clone(), headers: replaced(headers)? },
    };
    Ok(LibraryServer { name: server.name.clone(), transport })
}

fn replace(text: &str, find: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        out.push_str(&find(name).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> Result<LibraryServer, Problem> {
        let name = path.split('/').nth(1).unwrap().split('.').next().unwrap();
        server(name, path, text)
    }

    #[test]
    fn programs_and_addresses_are_read_from_toml_and_json() {
        let text = "command = \"npx\"\nargs = [\"-y\"]\nenv = { T = \"${X}\" }";
        let Transport::Stdio { command, args, env } = read("mcps/a.toml", text).unwrap().transport else {
            panic!("not stdio")
        };
        assert_eq!(
            (command.as_str(), args.as_slice(), env["T"].as_str()),
            ("npx", &["-y".to_owned()][..], "${X}")
        );
        let text =
            r#"{"type": "http", "url": "https://x.org/mcp", "headers": {"Authorization": "Bearer ${X}"}}"#;
        let server = read("mcps/b.json", text).unwrap();
        let full = with_secrets(&server, &|name| (name == "X").then(|| "s3".to_owned())).unwrap();
        let Transport::Http { headers, .. } = full.transport else { panic!("not http") };
        assert_eq!(headers["Authorization"], "Bearer s3");
        assert_eq!(with_secrets(&server, &|_| None), Err("X".to_owned()));
    }

    #[test]
    fn what_cannot_be_a_server_is_told_with_its_place() {
        for (path, text, words, line) in [
            ("mcps/a.toml", "command = 7", "string", Some(1)),
            ("mcps/a.toml", "\ncommand = \"a\"\ncolour = \"red\"", "colour", Some(3)),
            ("mcps/a.json", "{\n\"command\": \"a\",\n}", "", Some(3)),
            ("mcps/a.toml", "", "neither", None),
            ("mcps/a.toml", "command = \"a\"\nurl = \"http://x\"", "both", None),
            ("mcps/a.toml", "command = \"a\"\nargs = [\"--key=${K}\"]", "secrets", None),
            ("mcps/a.toml", "command = \"a\"\nheaders = { A = \"b\" }", "headers", None),
            ("mcps/a.toml", "url = \"http://x\"\nenv = { A = \"b\" }", "env", None),
            ("mcps/a.toml", "url = \"ftp://x\"", "address", None),
            ("mcps/a.toml", "url = \"http://u:p@x/\"", "address", None),
            ("mcps/a.toml", "url = \"http://x\"\nheaders = { \"A B\" = \"b\" }", "header", None),
            ("mcps/a.toml", "url = \"http://x\"\nheaders = { A = \"b\\nC: d\" }", "control", None),
            ("mcps/a.toml", "type = \"sse\"\nurl = \"http://x\"", "type", None),
            ("mcps/a.toml", "command = \"a\"\nenv = { SANDBOXED_SH_PORT = \"1\" }", "variable", None),
            ("mcps/workspace.toml", "command = \"a\"", "built-in", None),
            ("mcps/orchestrator.toml", "command = \"a\"", "built-in", None),
            ("mcps/a__b.toml", "command = \"a\"", "underscores", None),
        ] {
            let problem = read(path, text).unwrap_err();
            assert!(problem.message.contains(words), "{text}: {problem}");
            assert_eq!(problem.line, line, "{text}: {problem}");
        }
    }

    #[test]
    fn text_without_a_name_in_braces_stays_as_it_is() {
        for text in ["$X", "${X", "a}b", "$${"] {
            assert_eq!(replace(text, &|_| None).as_deref(), Ok(text));
        }
    }
}
