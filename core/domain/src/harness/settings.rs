//! A user's settings of a harness below the platform's own: tables are merged, lists joined, and of two values ours
//! counts.

use serde_json::{Map, Value};
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::LaunchRequest;
use crate::api::ApiError;

/// The user's settings as JSON; an empty object where there are none.
///
/// # Errors
/// `invalid_argument` on `config_profile`: not a JSON object.
pub(super) fn json_settings(request: &LaunchRequest) -> Result<Map<String, Value>, ApiError> {
    let Some((path, text)) = &request.settings else { return Ok(Map::new()) };
    serde_json::from_str(text).map_err(|error| unreadable(path, &error.to_string()))
}

/// The user's settings as TOML; an empty document where there are none.
///
/// # Errors
/// `invalid_argument` on `config_profile`: not TOML.
pub(super) fn toml_settings(request: &LaunchRequest) -> Result<DocumentMut, ApiError> {
    let Some((path, text)) = &request.settings else { return Ok(DocumentMut::new()) };
    text.parse().map_err(|error: toml_edit::TomlError| unreadable(path, error.to_string().trim()))
}

fn unreadable(path: &str, why: &str) -> ApiError {
    ApiError::invalid("config_profile", format!("{path}: {why}")).hint("mend the file in the Library")
}

/// Puts our values over the user's.
pub(super) fn merge_json(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(theirs)), Value::Object(ours)) => merge_json(theirs, ours),
            (Some(Value::Array(theirs)), Value::Array(ours)) => {
                theirs.retain(|value| !ours.contains(value));
                theirs.extend(ours);
            }
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

/// Puts our values over the user's.
pub(super) fn merge_toml(below: &mut dyn TableLike, above: Table) {
    for (key, item) in above {
        let theirs = below.get_mut(&key);
        match (theirs, item) {
            (Some(theirs), Item::Table(ours)) if theirs.is_table_like() => {
                if let Some(theirs) = theirs.as_table_like_mut() {
                    merge_toml(theirs, ours);
                }
            }
            (
                Some(Item::Value(toml_edit::Value::Array(theirs))),
                Item::Value(toml_edit::Value::Array(ours)),
            ) => {
                theirs.extend(ours);
            }
            (_, item) => drop(below.insert(&key, item)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ours_counts_theirs_stays_and_lists_are_joined() {
        let Value::Object(mut theirs) = json!({"a": {"x": 1, "l": ["p", "q"]}, "b": 2, "c": 3}) else {
            panic!()
        };
        let Value::Object(ours) = json!({"a": {"y": 2, "l": ["q", "r"]}, "b": 4, "d": 5}) else { panic!() };
        merge_json(&mut theirs, ours);
        let want = json!({"a": {"x": 1, "y": 2, "l": ["p", "q", "r"]}, "b": 4, "c": 3, "d": 5});
        assert_eq!(Value::Object(theirs), want);
        let mut theirs: DocumentMut = "b = 2\nc = 3\n[a]\nx = 1\nl = [1]\n".parse().unwrap();
        let ours: DocumentMut = "b = 4\n[a]\ny = 2\nl = [2]\n[d]\ne = 1\n".parse().unwrap();
        merge_toml(theirs.as_table_mut(), ours.into_table());
        let want: DocumentMut = "b = 4\nc = 3\n[a]\nx = 1\nl = [1, 2]\ny = 2\n[d]\ne = 1\n".parse().unwrap();
        let values = |text: String| toml_edit::de::from_str::<Value>(&text).unwrap();
        assert_eq!(values(theirs.to_string()), values(want.to_string()));
    }
}
