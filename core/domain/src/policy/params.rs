//! Reading parameters so that an error names the field it is about.

use serde::Deserialize;
use serde_json::Value;

use super::head_at;
use crate::api::{ApiError, ErrorCode};

/// How much of a bad value an error may repeat.
const QUOTED_BYTES: usize = 200;

/// Reads `value` as `T`. Field paths start with `prefix` (`workers[3]`; empty for none). An unknown field is
/// `UnknownField`, anything else `InvalidArgument`.
pub fn parse_params<'a, T: Deserialize<'a>>(value: &'a Value, prefix: &str) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        explain(&error.into_inner().to_string(), join(prefix, if path == "." { "" } else { &path }))
    })
}

/// `prefix.name`, without a dot where one side is empty or `name` is an index.
pub(super) fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", _) | (_, "") => format!("{prefix}{name}"),
        (_, name) if name.starts_with('[') => format!("{prefix}{name}"),
        _ => format!("{prefix}.{name}"),
    }
}

/// The error that serde's `message` at `path` stands for. Serde tells names only in its message: `unknown field `x`,
/// expected …` and `missing field `x``.
pub fn explain(message: &str, path: String) -> ApiError {
    let at_path = |error: ApiError| if path.is_empty() { error } else { error.field(path.clone()) };
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (name, expected) = rest.split_once("`, ").unwrap_or((rest.trim_end_matches('`'), ""));
        let name = head_at(name, QUOTED_BYTES);
        // The path already ends with the key when the reader got that far.
        let field = match path.rsplit('.').next() == Some(name) {
            true => path,
            false => join(&path, name),
        };
        let hint = format!("leave it out; {}", expected.replace('`', ""));
        return ApiError::new(ErrorCode::UnknownField, format!("unknown field `{name}`"))
            .field(field)
            .hint(hint);
    }
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return ApiError::invalid(join(&path, name), format!("`{name}` is required")).hint("add it");
    }
    // What stands in an environment may be a secret: the error does not repeat it.
    let secret = path.split('.').any(|part| part == "env");
    let message = match message.rsplit_once(", expected ").filter(|_| secret) {
        Some((_, expected)) => format!("not what is expected here: {expected}"),
        None => head_at(message, QUOTED_BYTES).to_owned(),
    };
    at_path(ApiError::new(ErrorCode::InvalidArgument, message))
        .hint("docs/reference.md shows every field's type")
}
