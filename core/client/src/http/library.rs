//! The Library's routes as methods.

use std::time::Duration;

use reqwest::Method;
use sandboxed_domain::api::{
    ApiError, LibraryCommit, LibraryCommitParams, LibraryFile, LibraryFileParams, LibraryHistory,
    LibraryHistoryParams, LibraryRevertParams, LibraryStatus, LibrarySyncResponse, LibraryView,
    LibraryWriteParams,
};
use serde_json::json;

use super::client::{CALL_TIMEOUT, Client, Limit};

/// What talking to a distant remote may take.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(400);
const SHORT: Limit = Limit::Within(CALL_TIMEOUT);

impl Client {
    /// `GET /api/library`.
    pub async fn library(&self) -> Result<LibraryView, ApiError> {
        self.get("/api/library", &()).await
    }

    /// `GET /api/library/status`.
    pub async fn library_status(&self) -> Result<LibraryStatus, ApiError> {
        self.get("/api/library/status", &()).await
    }

    /// `POST /api/library/sync`.
    pub async fn sync_library(&self) -> Result<LibrarySyncResponse, ApiError> {
        self.post("/api/library/sync", &json!({}), Limit::Within(REMOTE_TIMEOUT)).await
    }

    /// `POST /api/library/push`.
    pub async fn push_library(&self) -> Result<LibraryStatus, ApiError> {
        self.post("/api/library/push", &json!({}), Limit::Within(REMOTE_TIMEOUT)).await
    }

    /// `POST /api/library/commit`.
    pub async fn commit_library(&self, params: &LibraryCommitParams) -> Result<LibraryCommit, ApiError> {
        self.post("/api/library/commit", params, SHORT).await
    }

    /// `POST /api/library/revert`; the new commit, where one was made.
    pub async fn revert_library(
        &self,
        params: &LibraryRevertParams,
    ) -> Result<Option<LibraryCommit>, ApiError> {
        self.post("/api/library/revert", params, SHORT).await
    }

    /// `GET /api/library/history`.
    pub async fn library_history(&self, params: &LibraryHistoryParams) -> Result<LibraryHistory, ApiError> {
        self.get("/api/library/history", params).await
    }

    /// `GET /api/library/file`.
    pub async fn library_file(&self, params: &LibraryFileParams) -> Result<LibraryFile, ApiError> {
        self.get("/api/library/file", params).await
    }

    /// `PUT /api/library/file`.
    pub async fn write_library_file(&self, params: &LibraryWriteParams) -> Result<LibraryFile, ApiError> {
        let request = self.request(Method::PUT, "/api/library/file")?.json(params);
        Ok(self.fetch(request, SHORT).await?)
    }

    /// `DELETE /api/library/file`.
    pub async fn remove_library_file(&self, params: &LibraryFileParams) -> Result<(), ApiError> {
        let request = self.request(Method::DELETE, "/api/library/file")?.query(params);
        self.send(request, SHORT).await?;
        Ok(())
    }
}
