//! Errors as `application/problem+json`, and JSON bodies read so that an error names its field.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::policy::{explain, parse_params};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A batch of 64 prompts of 1 MiB each, and some room.
const MAX_BODY: usize = 72 << 20;
/// So much of a body that is too long is still heard.
const MOST_HEARD: usize = 2 * MAX_BODY;

/// An operation's error on its way out.
#[derive(Debug)]
pub(super) struct Problem(pub ApiError);

impl<E: Into<ApiError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = self.0;
        let status =
            StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = error.code.as_str();
        let mut body = json!({
            "type": format!("urn:sandboxed-sh:error:{code}"),
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "code": code,
            "detail": error.message,
            "hint": error.hint,
        });
        if let (Some(field), Some(object)) = (error.field, body.as_object_mut()) {
            object.insert("field".to_owned(), Value::String(field));
        }
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

/// What a handler returns.
pub(super) type Answer<T> = Result<axum::Json<T>, Problem>;

/// A JSON body; empty counts as `{}`.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = whole(request).await.map_err(Problem)?;
        let value: Value = if bytes.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&bytes).map_err(|error| {
                Problem(ApiError::invalid("body", format!("not JSON: {error}")).hint("send a JSON object"))
            })?
        };
        parse_params(&value, "").map(Self).map_err(Problem)
    }
}

/// The bytes of a body. One that is too long is heard to its end, within bounds: who is hung up on while it sends does
/// not read why.
async fn whole(request: Request) -> Result<Vec<u8>, ApiError> {
    let (mut chunks, mut bytes, mut length) = (request.into_body().into_data_stream(), Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| ApiError::invalid("body", format!("it broke off: {error}")))?;
        length += chunk.len();
        if length <= MAX_BODY {
            bytes.extend_from_slice(&chunk);
        } else if length <= MOST_HEARD {
            bytes = Vec::new();
        } else {
            break;
        }
    }
    if length <= MAX_BODY {
        return Ok(bytes);
    }
    Err(ApiError::new(ErrorCode::TooLarge, "the body is too long").field("body").hint("send at most 72 MiB"))
}

/// A query string as parameters; every value is text, read as the field wants it.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(params)| Self(params)).map_err(|rejection| {
            // "Failed to deserialize query string: field: what is wrong"
            let text = rejection.body_text();
            let mut parts = text.splitn(3, ": ").skip(1);
            let (field, message) = (parts.next().unwrap_or("query"), parts.next().unwrap_or(&text));
            Problem(explain(message, field.to_owned()))
        })
    }
}
