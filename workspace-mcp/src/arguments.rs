//! From a call's arguments to typed parameters.

use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Code, Problem, Result};

/// Reads the arguments. `null` counts as absent: models fill optional fields with it.
pub fn parse<P: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<P> {
    let mut value = Value::Object(arguments.unwrap_or_default());
    drop_nulls(&mut value);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        describe(path, &error.into_inner().to_string())
    })
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// serde says what is wrong in words only; the name of an unknown or missing field stands in backticks.
fn describe(path: Option<String>, message: &str) -> Problem {
    let named = |prefix: &str| message.strip_prefix(prefix)?.split_once('`').map(|(name, _)| name.to_owned());
    if let Some(name) = named("unknown field `") {
        return Problem::new(Code::UnknownField, message)
            .field(name)
            .hint("use only the fields of the tool's schema");
    }
    if let Some(name) = named("missing field `") {
        let field = path.map_or_else(|| name.clone(), |path| format!("{path}.{name}"));
        return Problem::invalid(&field, message).hint("add it and call again");
    }
    let problem = Problem::new(Code::InvalidArgument, message);
    Problem { field: path, ..problem }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::files::{EditParams, ListParams, ReadParams};

    fn parse_json<P: DeserializeOwned>(value: Value) -> Result<P> {
        parse(value.as_object().cloned())
    }

    #[test]
    fn what_is_wrong_with_an_argument_is_named() {
        for (value, code, field) in [
            (json!({}), Code::InvalidArgument, "path"),
            (json!({"path": 7}), Code::InvalidArgument, "path"),
            (json!({"path": "a", "limit": -1}), Code::InvalidArgument, "limit"),
            (json!({"path": "a", "lines": 1}), Code::UnknownField, "lines"),
        ] {
            let problem = parse_json::<ReadParams>(value.clone()).unwrap_err();
            assert_eq!((problem.code, problem.field.as_deref()), (code, Some(field)), "{value}");
        }
        let edits = json!({"path": "a", "edits": [{"old_string": "x"}]});
        let problem = parse_json::<EditParams>(edits).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("edits[0].new_string"));
    }

    #[test]
    fn null_counts_as_absent() {
        let params: ListParams = parse_json(json!({"path": null, "depth": null, "offset": null})).unwrap();
        assert_eq!((params.path.as_str(), params.depth, params.offset), ("", None, 0));
    }
}
