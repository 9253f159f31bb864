//! A server of tools, and a client that calls it over its stdin and stdout as agents do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test may panic as the test may")]

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ContentBlock},
    service::{PeerRequestOptions, RequestHandle, RunningService},
    transport::TokioChildProcess,
};
use serde_json::Value;
use tokio::process::Command;

/// Longer than anything a test waits for; its end is a failure.
const PATIENCE: Duration = Duration::from_secs(90);
/// The same for thousands of calls.
const LONG_PATIENCE: Duration = Duration::from_secs(300);

/// What comes of `future`, which must be soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    within(PATIENCE, future).await
}

async fn within<T>(patience: Duration, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(patience, future).await {
        Ok(value) => value,
        Err(_) => panic!("it does not happen in {patience:?}"),
    }
}

/// A call of a tool.
pub fn call(tool: &str, arguments: &Value) -> CallToolRequestParams {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)
}

/// A server and its client.
pub struct McpServer {
    client: RunningService<RoleClient, ()>,
    pid: Pid,
}

impl McpServer {
    /// Starts the program and greets it.
    pub async fn start(command: Command) -> Self {
        let child = TokioChildProcess::new(command).unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        let client = soon(().serve(child)).await.unwrap();
        Self { client, pid }
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The peer, for what a call is not enough for.
    pub fn client(&self) -> &RunningService<RoleClient, ()> {
        &self.client
    }

    /// The list of tools.
    pub async fn tools(&self) -> Value {
        serde_json::to_value(soon(self.client.list_all_tools()).await.unwrap()).unwrap()
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        Answer(soon(self.client.call_tool(call(tool, &arguments))).await.unwrap())
    }

    /// Many calls at once; what came of each.
    pub async fn calls(&self, tool: &str, arguments: impl Iterator<Item = Value>) -> Vec<Answer> {
        let calls = arguments.map(|arguments| self.client.call_tool(call(tool, &arguments)));
        let answers = within(LONG_PATIENCE, futures::future::join_all(calls)).await;
        answers.into_iter().map(|answer| Answer(answer.unwrap())).collect()
    }

    /// Begins a call that may be taken back.
    pub async fn begin(&self, tool: &str, arguments: Value) -> RequestHandle<RoleClient> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(call(tool, &arguments)));
        let options = PeerRequestOptions::no_options();
        soon(self.client.send_cancellable_request(request, options)).await.unwrap()
    }

    /// Structured content of a call that succeeds; its text says the same.
    pub async fn data(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments.clone()).await;
        assert!(!answer.is_error(), "{tool} {arguments}: {answer:?}");
        let data = answer.0.structured_content.clone().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&answer.text()).unwrap(), data);
        data
    }

    /// Text of a call that succeeds and has no structured content, which would replace it.
    pub async fn text(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments.clone()).await;
        let text_only = !answer.is_error() && answer.0.structured_content.is_none();
        assert!(text_only, "{tool} {arguments}: {answer:?}");
        answer.text()
    }

    /// The error of a call that fails.
    pub async fn problem(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments.clone()).await;
        assert!(answer.is_error() && answer.0.structured_content.is_none(), "{tool} {arguments}: {answer:?}");
        let problem: Value =
            serde_json::from_str(&answer.text()).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
        let hint = problem["hint"].as_str().unwrap_or_default();
        assert!(problem["message"].is_string() && hint.len() > 10, "{tool} {arguments}: {problem}");
        problem
    }

    /// The client hangs up; the server ends by itself.
    pub async fn leave(self) {
        soon(self.client.cancel()).await.unwrap();
    }

    /// The server is killed and can tidy nothing up.
    pub async fn kill(self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
        soon(self.client.waiting()).await.unwrap();
    }
}

/// What a tool answered.
#[derive(Debug)]
pub struct Answer(pub CallToolResult);

impl Answer {
    /// Whether it tells of a failure.
    pub fn is_error(&self) -> bool {
        self.0.is_error == Some(true)
    }

    /// All text, block after block.
    pub fn text(&self) -> String {
        let blocks = self.0.content.iter().filter_map(ContentBlock::as_text);
        blocks.map(|block| block.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The text of one block.
    pub fn block(&self, index: usize) -> &str {
        &self.0.content[index].as_text().unwrap().text
    }

    /// Kind and Base64 of the picture.
    pub fn picture(&self) -> Option<(&str, &str)> {
        let image = self.0.content.iter().find_map(ContentBlock::as_image)?;
        Some((&image.mime_type, &image.data))
    }

    /// Address that the answer links to.
    pub fn link(&self) -> Option<String> {
        self.0.content.iter().find_map(ContentBlock::as_resource_link).map(|resource| resource.uri.clone())
    }

    /// A fact for programs.
    pub fn fact(&self, name: &str) -> Value {
        self.0.meta.as_ref().map_or(Value::Null, |meta| meta.0.get(name).cloned().unwrap_or_default())
    }
}
