//! The bearer token, compared in constant time.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sandboxed_domain::api::{ApiError, ErrorCode};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Whether a request needs a token, and which. Only its digest is kept.
#[derive(Clone)]
pub enum Auth {
    /// Nobody is asked; loopback only.
    Open,
    /// SHA-256 of the token.
    Token([u8; 32]),
}

impl Auth {
    /// From the token itself.
    pub fn token(text: &str) -> Self {
        Self::Token(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether a token is wanted.
    pub fn required(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    fn allows(&self, given: Option<&str>) -> bool {
        let Self::Token(wanted) = self else { return true };
        let Some(given) = given else { return false };
        let digest: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        // Digests of equal length, compared without an early exit.
        wanted.iter().zip(digest).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

/// Refuses what carries no token or another one.
pub(super) async fn require_token(State(auth): State<Auth>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if auth.allows(given) {
        return next.run(request).await;
    }
    let error = ApiError::new(ErrorCode::Unauthorized, "no valid bearer token")
        .field("Authorization")
        .hint("send `Authorization: Bearer` with the content of the data directory's file `token`");
    Problem(error).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_let_in() {
        let auth = Auth::token("secret");
        assert!(auth.allows(Some("secret")));
        for wrong in [None, Some(""), Some("secre"), Some("secret "), Some("Secret")] {
            assert!(!auth.allows(wrong), "{wrong:?}");
        }
        assert!(Auth::Open.allows(None));
    }
}
