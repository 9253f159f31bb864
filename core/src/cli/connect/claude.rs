//! Claude Code: an entry in `.mcp.json`.

use std::path::Path;

use indexmap::IndexMap;
use sandboxed_domain::api::ApiError;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{MAX_WAIT, SERVER};

/// Longest tool call in milliseconds; also lifts the client's limit on silence. 300 s above the longest wait.
const TIMEOUT: u64 = 3_900_000;
const SERVERS: &str = "mcpServers";

/// A map that keeps its order and the text of what it does not know.
type Kept = IndexMap<String, Box<RawValue>>;

#[derive(Serialize)]
struct Server<'a> {
    r#type: &'static str,
    command: &'a Path,
    args: [&'static str; 2],
    timeout: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Kept(Box<RawValue>),
    Ours(Server<'a>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Kept(Box<RawValue>),
    Servers(IndexMap<String, Entry<'a>>),
}

/// The file's text with our server in it; `old` is empty when there is none.
///
/// # Errors
/// `old` is no JSON of that shape.
pub(super) fn merge(old: &str, program: &Path) -> Result<String, ApiError> {
    let bad = |e: serde_json::Error| {
        ApiError::invalid(".mcp.json", format!("cannot be read: {e}"))
            .hint("mend it by hand, then run this again")
    };
    let file: Kept =
        if old.trim().is_empty() { Kept::new() } else { serde_json::from_str(old).map_err(bad)? };
    let servers: Kept = match file.get(SERVERS) {
        Some(servers) => serde_json::from_str(servers.get()).map_err(bad)?,
        None => Kept::new(),
    };
    let server =
        Server { r#type: "stdio", command: program, args: ["--max-wait", MAX_WAIT], timeout: TIMEOUT };
    let wanted = serde_json::to_value(&server).map_err(bad)?;
    let is = servers.get(SERVER).and_then(|raw| serde_json::from_str::<serde_json::Value>(raw.get()).ok());
    if is.as_ref() == Some(&wanted) {
        return Ok(old.to_owned());
    }
    let mut servers: IndexMap<String, Entry<'_>> =
        servers.into_iter().map(|(name, raw)| (name, Entry::Kept(raw))).collect();
    servers.insert(SERVER.to_owned(), Entry::Ours(server));
    let mut file: IndexMap<String, Part<'_>> =
        file.into_iter().map(|(name, raw)| (name, Part::Kept(raw))).collect();
    file.insert(SERVERS.to_owned(), Part::Servers(servers));
    Ok(format!("{}\n", serde_json::to_string_pretty(&file).map_err(bad)?))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const PROGRAM: &str = "/opt/x/inside/mcp-orchestrator";

    fn merged(old: &str) -> String {
        merge(old, Path::new(PROGRAM)).unwrap()
    }

    #[test]
    fn an_absent_file_becomes_one_with_our_server() {
        assert_eq!(
            merged(""),
            r#"{
  "mcpServers": {
    "orchestrator": {
      "type": "stdio",
      "command": "/opt/x/inside/mcp-orchestrator",
      "args": [
        "--max-wait",
        "3600"
      ],
      "timeout": 3900000
    }
  }
}
"#
        );
    }

    #[test]
    fn others_are_kept_in_their_order_and_a_second_time_changes_nothing() {
        let old = "{\"z\": 1.50,\n \"mcpServers\": {\"b\": {\"command\": \"b\"}, \"a\": {\"url\": \"u\"}}, \"c\": [1,2]}";
        let new = merged(old);
        assert_eq!(merged(&new), new);
        let (b, a) = (new.find("\"b\"").unwrap(), new.find("\"a\"").unwrap());
        assert!(new.find("\"z\": 1.50").unwrap() < b && b < a, "{new}");
        let value: Value = serde_json::from_str(&new).unwrap();
        assert_eq!(value["mcpServers"]["a"]["url"], "u");
        assert_eq!(value["c"], serde_json::json!([1, 2]));
        assert_eq!(value["mcpServers"]["orchestrator"]["timeout"], 3_900_000);
    }

    #[test]
    fn an_older_entry_of_ours_is_replaced_where_it_stands() {
        let new = merged(r#"{"mcpServers": {"orchestrator": {"command": "old"}, "x": {}}}"#);
        assert!(!new.contains("\"old\"") && new.contains(PROGRAM));
        assert!(new.find("orchestrator").unwrap() < new.find("\"x\"").unwrap(), "{new}");
    }

    #[test]
    fn a_file_that_is_no_json_is_left_alone() {
        for old in ["{", "[]", "{\"mcpServers\": 3}"] {
            let error = merge(old, Path::new(PROGRAM)).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(".mcp.json"), "{old}");
        }
    }
}
