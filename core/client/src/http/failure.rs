//! What can go wrong with a call, and whether the daemon may have acted on it.

use reqwest::{Response, StatusCode};
use sandboxed_domain::api::{ApiError, ErrorCode};
use serde::Deserialize;

/// A failed call. The variant says whether it is safe to send the same call again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The daemon never had the call: sending it again is always safe.
    NotSent(ApiError),
    /// The connection broke before an answer: the daemon may have acted.
    Lost(ApiError),
    /// The daemon answered with an error.
    Answered(ApiError),
}

impl Failure {
    /// The error to show.
    pub fn error(&self) -> &ApiError {
        match self {
            Self::NotSent(e) | Self::Lost(e) | Self::Answered(e) => e,
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(e) | Failure::Lost(e) | Failure::Answered(e) => e,
        }
    }
}

/// Sorts what reqwest reports. `target` is shown; a URL never is, it might carry a query.
pub(super) fn from_transport(error: &reqwest::Error, target: &str) -> Failure {
    if error.is_builder() {
        return Failure::NotSent(ApiError::new(ErrorCode::InvalidArgument, deepest(error)));
    }
    if error.is_connect() {
        let message = format!("no daemon answers at {target}: {}", deepest(error));
        return Failure::NotSent(
            ApiError::new(ErrorCode::DaemonUnreachable, message)
                .hint("start it with `sandboxed-sh daemon start`; its log is in <data dir>/daemon/"),
        );
    }
    if error.is_timeout() {
        let message = format!("the daemon at {target} took too long to answer");
        return Failure::Lost(
            ApiError::new(ErrorCode::TimedOut, message)
                .hint("look at `sandboxed-sh daemon status` and its log"),
        );
    }
    if error.is_decode() {
        let message = format!("the answer of {target} does not fit: {}", deepest(error));
        return Failure::Answered(
            ApiError::new(ErrorCode::Internal, message).hint("client and daemon are of different builds"),
        );
    }
    let message = format!("the connection to {target} broke: {}", deepest(error));
    Failure::Lost(
        ApiError::new(ErrorCode::DaemonUnreachable, message).hint(
            "the daemon may have been stopped or replaced: look what became of the call, then repeat it",
        ),
    )
}

/// The innermost cause: reqwest's own words repeat the URL at each level.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// `application/problem+json`.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    field: Option<String>,
    #[serde(default)]
    hint: String,
}

/// Reads an error answer; anything that is no problem document keeps its status and first 300 characters.
pub(super) async fn from_answer(response: Response) -> ApiError {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    parse_problem(status, &text)
}

fn parse_problem(status: StatusCode, text: &str) -> ApiError {
    let Ok(problem) = serde_json::from_str::<Problem>(text) else {
        let start: String = text.chars().take(300).collect();
        return ApiError::new(code_of(status), format!("HTTP {status}: {start}"))
            .hint("is another program listening on this port?");
    };
    let code = serde_json::from_value(problem.code.into()).unwrap_or_else(|_| code_of(status));
    let message = if problem.detail.is_empty() { problem.title } else { problem.detail };
    ApiError { code, message, field: problem.field, hint: problem.hint }
}

/// The nearest code for a status alone.
fn code_of(status: StatusCode) -> ErrorCode {
    match status.as_u16() {
        401 => ErrorCode::Unauthorized,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        408 => ErrorCode::TimedOut,
        409 => ErrorCode::Conflict,
        413 => ErrorCode::TooLarge,
        501 => ErrorCode::NotAvailable,
        503 => ErrorCode::DaemonUnreachable,
        400..=499 => ErrorCode::InvalidArgument,
        _ => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_becomes_the_same_error() {
        let text = r#"{"title":"x","status":400,"code":"unknown_field","detail":"no field nane","field":"nane","hint":"name?"}"#;
        let e = parse_problem(StatusCode::BAD_REQUEST, text);
        assert_eq!(e, ApiError::new(ErrorCode::UnknownField, "no field nane").field("nane").hint("name?"));
    }

    #[test]
    fn other_answers_keep_the_meaning_of_their_status() {
        let e = parse_problem(StatusCode::UNAUTHORIZED, "<html>");
        assert_eq!(e.code, ErrorCode::Unauthorized);
        let e = parse_problem(StatusCode::NOT_FOUND, r#"{"code":"invented_later","detail":"d"}"#);
        assert_eq!((e.code, e.message.as_str()), (ErrorCode::NotFound, "d"));
        assert!(parse_problem(StatusCode::BAD_GATEWAY, &"x".repeat(9999)).message.len() < 400);
    }
}
