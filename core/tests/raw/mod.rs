//! Requests as any HTTP client makes them, without our typed client: status, content type and JSON as they come.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use reqwest::{Method, RequestBuilder};
use sandboxed_client::Settings;
use serde_json::Value;

/// One daemon's address with a token, or without.
pub struct Http {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub text: String,
}

impl Http {
    /// With the daemon's own token.
    pub fn new(settings: &Settings) -> Self {
        let token = settings.token.read().unwrap().map(|token| token.expose().to_owned());
        Self::with_token(settings, token)
    }

    /// With this token, or none.
    pub fn with_token(settings: &Settings, token: Option<String>) -> Self {
        Self { client: reqwest::Client::new(), base: settings.endpoint.to_string(), token }
    }

    /// A request to be sent.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request("POST", path).body(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request("DELETE", path)).await
    }
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let content_type =
            response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        Self {
            status: response.status().as_u16(),
            content_type: content_type.unwrap_or_default(),
            text: response.text().await.unwrap(),
        }
    }

    /// The JSON of an answer that must be a good one.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The answer must be a problem with this status, code and field, and say what to do.
    pub fn problem(&self, status: u16, code: &str, field: Option<&str>) -> Value {
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        let body: Value = serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        let told = (self.status, body["status"].as_u64(), body["code"].as_str(), body["field"].as_str());
        assert_eq!(told, (status, Some(u64::from(status)), Some(code), field), "{body}");
        for name in ["detail", "hint", "title", "type"] {
            assert!(body[name].as_str().is_some_and(|text| !text.is_empty()), "no {name}: {body}");
        }
        body
    }
}
