//! The connection: one pooled HTTP client, the bearer token, time limits and error conversion.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, header};
use sandboxed_domain::api::{ApiError, ErrorCode};
use serde::{Serialize, de::DeserializeOwned};

use super::failure::{Failure, from_answer, from_transport};
use crate::settings::{Endpoint, Settings};

/// Longest time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time of a call that is not itself a wait.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// At most this long from start to the last byte.
    Within(Duration),
    /// As long as the daemon takes: waits, streams and builds. A daemon that dies still ends it.
    Open,
}

/// A typed client of one daemon. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
    base: String,
}

impl Client {
    /// A client for the settings' endpoint. Connects at the first call.
    ///
    /// # Errors
    /// `Internal` when the HTTP client cannot be built.
    pub fn from_settings(settings: &Settings) -> Result<Self, ApiError> {
        // A proxy from the environment must not see the calls, nor the token.
        let mut builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT);
        builder = builder.redirect(reqwest::redirect::Policy::none());
        let base = match &settings.endpoint {
            Endpoint::Unix(path) => {
                builder = builder.unix_socket(path.clone());
                "http://127.0.0.1".to_owned()
            }
            tcp @ Endpoint::Tcp(..) => tcp.to_string(),
        };
        let http =
            builder.build().map_err(|e| ApiError::new(ErrorCode::Internal, format!("HTTP client: {e}")))?;
        Ok(Self { http, settings: Arc::new(settings.clone()), base })
    }

    /// The settings this client was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A request for `path` (starting with `/api`) with the token of this moment.
    pub(super) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let token = self.settings.token.read().map_err(Failure::NotSent)?;
        Ok(match token {
            Some(token) => {
                let mut value = header::HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| Failure::NotSent(bad_token()))?;
                value.set_sensitive(true);
                request.header(header::AUTHORIZATION, value)
            }
            None => request,
        })
    }

    /// Sends and checks the status.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        limit: Limit,
    ) -> Result<reqwest::Response, Failure> {
        let request = match limit {
            Limit::Within(time) => request.timeout(time),
            Limit::Open => request,
        };
        let target = self.settings.endpoint.to_string();
        let response = request.send().await.map_err(|e| from_transport(&e, &target))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(Failure::Answered(from_answer(response).await))
        }
    }

    /// Sends and reads a JSON answer.
    pub(super) async fn fetch<R: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        limit: Limit,
    ) -> Result<R, Failure> {
        let response = self.send(request, limit).await?;
        response.json().await.map_err(|e| from_transport(&e, &self.settings.endpoint.to_string()))
    }

    /// `GET` with a query.
    pub(super) async fn get<Q: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<R, ApiError> {
        let request = self.request(Method::GET, path)?.query(query);
        Ok(self.fetch(request, Limit::Within(CALL_TIMEOUT)).await?)
    }

    /// `POST` with a JSON body.
    pub(super) async fn post<B: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        limit: Limit,
    ) -> Result<R, ApiError> {
        let request = self.request(Method::POST, path)?.json(body);
        Ok(self.fetch(request, limit).await?)
    }

    /// `DELETE`, ignoring any body of the answer.
    pub(super) async fn delete(&self, path: &str) -> Result<(), ApiError> {
        let request = self.request(Method::DELETE, path)?;
        self.send(request, Limit::Within(CALL_TIMEOUT)).await?;
        Ok(())
    }
}

fn bad_token() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, "the token is not printable ASCII")
        .hint("delete the token file and restart the daemon to get a new one")
}
