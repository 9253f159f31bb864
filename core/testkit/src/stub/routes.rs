//! Which paths the stub knows, and what answers there.

use serde_json::Value;

use super::{
    anthropic, api::Api, chat, code_assist, gemini, openai, reply::Reply, responses, responses_socket,
};

/// What answers a path.
#[derive(Debug)]
pub(super) enum Route {
    /// A conversation.
    Converse(&'static Api),
    /// A connection whose texts are requests of a conversation.
    Socket(&'static Api),
    /// Counts the tokens of a body.
    Count(fn(&Value) -> Reply),
    /// Lists models by their ids.
    Models(fn(&[String]) -> Reply),
    /// Tells an account of itself.
    Account(fn() -> Reply),
    /// Nothing.
    Unknown,
}

/// Looks up a method and a path.
pub(super) fn route(method: &str, path: &str) -> Route {
    match (method, path) {
        ("POST", "/v1/messages") => Route::Converse(&anthropic::MESSAGES),
        ("POST", "/v1/messages/count_tokens") => Route::Count(anthropic::count_tokens),
        ("POST", "/v1/chat/completions") => Route::Converse(&chat::CHAT),
        ("POST", "/v1/responses") => Route::Converse(&responses::RESPONSES),
        ("POST", "/v1/responses/compact") => Route::Converse(&responses::COMPACT),
        ("GET", "/v1/responses") => Route::Socket(&responses_socket::SOCKET),
        ("GET", "/v1/models") => Route::Models(openai::models),
        ("GET", "/v1beta/models") => Route::Models(gemini::models),
        ("POST", "/v1internal:streamGenerateContent" | "/v1internal:generateContent") => {
            Route::Converse(&code_assist::GENERATE)
        }
        (
            "POST",
            "/tokeninfo"
            | "/v1internal:loadCodeAssist"
            | "/v1internal:listExperiments"
            | "/v1internal:retrieveUserQuota",
        )
        | ("GET", "/oauth2/v2/userinfo") => Route::Account(code_assist::account),
        ("POST", path) => match path.strip_prefix("/v1beta/models/").and_then(|last| last.split_once(':')) {
            Some((_, "streamGenerateContent" | "generateContent")) => Route::Converse(&gemini::GENERATE),
            Some((_, "countTokens")) => Route::Count(gemini::count_tokens),
            _ => Route::Unknown,
        },
        _ => Route::Unknown,
    }
}
