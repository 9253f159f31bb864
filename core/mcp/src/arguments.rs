//! From a call's arguments to typed parameters.

use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is wrong with the arguments of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadArgument {
    /// Whether there is no such field.
    pub unknown: bool,
    /// Path of the argument at fault.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do, where that is plain.
    pub hint: Option<&'static str>,
}

/// Reads the arguments. `null` counts as absent: models fill optional fields with it.
///
/// # Errors
/// What is unknown, missing or of the wrong kind, by its path.
pub fn parse<P: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<P, BadArgument> {
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
fn describe(path: Option<String>, message: &str) -> BadArgument {
    let named = |prefix: &str| message.strip_prefix(prefix)?.split_once('`').map(|(name, _)| name.to_owned());
    let bad = BadArgument { unknown: false, field: path, message: message.to_owned(), hint: None };
    if let Some(name) = named("unknown field `") {
        let hint = Some("use only the fields of the tool's schema");
        return BadArgument { unknown: true, field: Some(name), hint, ..bad };
    }
    if let Some(name) = named("missing field `") {
        let field = bad.field.as_ref().map_or_else(|| name.clone(), |path| format!("{path}.{name}"));
        return BadArgument { field: Some(field), hint: Some("add it and call again"), ..bad };
    }
    bad
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        path: String,
        limit: Option<u32>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only whether it is there counts")]
        name: String,
    }

    fn read(value: Value) -> Result<Outer, BadArgument> {
        parse(value.as_object().cloned())
    }

    #[test]
    fn what_is_wrong_with_an_argument_is_named() {
        for (value, unknown, field) in [
            (json!({}), false, "path"),
            (json!({"path": 7}), false, "path"),
            (json!({"path": "a", "limit": -1}), false, "limit"),
            (json!({"path": "a", "lines": 1}), true, "lines"),
            (json!({"path": "a", "inner": [{"x": 1}]}), false, "inner[0].name"),
        ] {
            let bad = read(value.clone()).unwrap_err();
            assert_eq!((bad.unknown, bad.field.as_deref()), (unknown, Some(field)), "{value}");
        }
    }

    #[test]
    fn null_counts_as_absent() {
        let outer = read(json!({"path": "a", "limit": null, "inner": null})).unwrap();
        assert_eq!((outer.path.as_str(), outer.limit, outer.inner.len()), ("a", None, 0));
    }
}
