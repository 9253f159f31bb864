//! The MCP server: one handler for stdio and HTTP, both protocol eras.

use std::{sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CreateTaskResult,
        GetTaskParams, GetTaskResult, Implementation, JsonObject, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
    },
    service::RequestContext,
    task_manager::{TaskExit, TaskManager, TaskOptions},
};
use sandboxed_client::{CALL_TIMEOUT, Limit};
use sandboxed_domain::api::{
    AnswerWorkerParams, AnswerWorkerResponse, ApiError, BackendAuthParams, BackendAuthResponse,
    BatchCreateParams, BatchCreateResponse, CancelWorkerParams, CancelWorkerResponse, GetWorkerParams,
    GetWorkerResponse, LayoutResponse, ListWorkersParams, ListWorkersResponse, NoParams, ReportOutcomeParams,
    ReportOutcomeResponse, ResumeWorkerParams, ResumeWorkerResponse, SendMessageParams, SendMessageResponse,
    WaitParams, WaitStatus,
};
use sandboxed_mcp::listing;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    arguments::{answer, parse, refusal},
    daemon::{Daemon, Repeat},
    identity::Role,
    tools,
    wait::{Delivery, budget, wait},
};

/// How often a client with tasks should look.
const TASK_POLL_MS: u64 = 3000;
/// How long a task and its answer are kept: beyond the longest wait.
const TASK_TTL_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The server's state; clones share it, one clone serves each HTTP request.
#[derive(Clone)]
pub struct Orchestrator {
    daemon: Arc<Daemon>,
    role: Role,
    max_wait: Option<Duration>,
    tasks: TaskManager,
}

impl Orchestrator {
    /// A server for one caller.
    pub fn new(daemon: Arc<Daemon>, role: Role, max_wait: Option<Duration>) -> Self {
        Self { daemon, role, max_wait, tasks: TaskManager::new() }
    }

    /// The daemon behind it.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Ends what tasks still wait; workers are not touched.
    pub fn shut_down(&self) {
        self.tasks.shutdown();
    }

    async fn pass<P, R>(&self, tool: &str, arguments: Option<JsonObject>, repeat: Repeat) -> CallToolResult
    where
        P: DeserializeOwned + Serialize,
        R: DeserializeOwned + Serialize,
    {
        match parse::<P>(arguments) {
            Ok(params) => self.send::<P, R>(tool, &params, repeat).await,
            Err(e) => refusal(&e),
        }
    }

    async fn send<P: Serialize, R: DeserializeOwned + Serialize>(
        &self,
        tool: &str,
        params: &P,
        repeat: Repeat,
    ) -> CallToolResult {
        let result: Result<R, ApiError> =
            self.daemon.call(tool, params, Limit::Within(CALL_TIMEOUT), repeat).await;
        result.map_or_else(|e| refusal(&e), |a| answer(&a))
    }

    /// A batch without a key gets one for this call alone, so that it can be sent again after a lost answer.
    async fn batch(&self, arguments: Option<JsonObject>) -> CallToolResult {
        match parse::<BatchCreateParams>(arguments) {
            Ok(mut params) => {
                params.idempotency_key.get_or_insert_with(|| Uuid::new_v4().to_string());
                self.send::<_, BatchCreateResponse>("batch_create_workers", &params, Repeat::Safe).await
            }
            Err(e) => refusal(&e),
        }
    }

    async fn wait(
        &self,
        arguments: Option<JsonObject>,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResponse {
        match self.try_wait(arguments, context).await {
            Ok(response) => response,
            Err(e) => refusal(&e).into(),
        }
    }

    async fn try_wait(
        &self,
        arguments: Option<JsonObject>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ApiError> {
        let progress = Progress::new(context);
        // Before the first await: over HTTP it is what makes the response's headers leave.
        progress.tell("waiting".to_owned()).await;
        let params: WaitParams = parse(arguments)?;
        let client = context.client_info().map(|info| info.name).unwrap_or_default();
        if context.client_capabilities().is_some_and(|c| c.supports_tasks()) {
            let time = budget(&client, Delivery::Task, self.max_wait, params.timeout_seconds)?;
            return self.wait_as_task(params, time, context).await;
        }
        let time = budget(&client, Delivery::Call, self.max_wait, params.timeout_seconds)?;
        tokio::select! {
            result = wait(&self.daemon, &params, time, |who| progress.tell(who)) => Ok(answer(&result?).into()),
            // Nobody reads the answer of a cancelled call.
            () = context.ct.cancelled() => Err(ApiError::new(
                sandboxed_domain::api::ErrorCode::TimedOut,
                "the wait was cancelled; workers go on",
            )),
        }
    }

    /// What is already known is answered at once; else a task waits on, with a cancellation of its own.
    async fn wait_as_task(
        &self,
        params: WaitParams,
        time: Duration,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ApiError> {
        let look = wait(&self.daemon, &params, Duration::ZERO, |_| async {});
        let now = tokio::select! {
            now = look => now?,
            () = context.ct.cancelled() => return Ok(CallToolResult::success(Vec::new()).into()),
        };
        if now.status != WaitStatus::Timeout || time.is_zero() {
            return Ok(answer(&now).into());
        }
        let options = TaskOptions::new()
            .with_ttl_ms(TASK_TTL_MS)
            .with_poll_interval_ms(TASK_POLL_MS)
            .with_status_message("waiting for workers");
        let daemon = Arc::clone(&self.daemon);
        let task = self.tasks.spawn(options, |task| {
            Box::pin(async move {
                let waiting = wait(&daemon, &params, time, |who| {
                    task.set_status_message(who);
                    std::future::ready(())
                });
                tokio::select! {
                    result = waiting => Ok(result.map_or_else(|e| refusal(&e), |a| answer(&a))),
                    () = task.cancelled() => Err(TaskExit::Cancelled),
                }
            })
        });
        Ok(CreateTaskResult::new(task).into())
    }
}

impl ServerHandler for Orchestrator {
    fn get_info(&self) -> ServerConfig {
        // Who asks for prompts gets an empty list; who answers must say so.
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_tasks().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("sandboxed-sh-orchestrator", env!("CARGO_PKG_VERSION")))
            .with_instructions(tools::instructions(self.role))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        listing(tools::list(self.role), &context)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::list(self.role).ok()?.into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        use Repeat::{Safe, Unsafe};
        let (name, args) = (request.name.as_ref(), request.arguments);
        let result = match name {
            "get_workspace_layout" => self.pass::<NoParams, LayoutResponse>(name, args, Safe).await,
            "get_backend_auth_status" => {
                self.pass::<BackendAuthParams, BackendAuthResponse>(name, args, Safe).await
            }
            "batch_create_workers" => self.batch(args).await,
            "wait_for_any_worker" => return Ok(self.wait(args, &context).await),
            "get_worker" => self.pass::<GetWorkerParams, GetWorkerResponse>(name, args, Safe).await,
            "list_workers" => self.pass::<ListWorkersParams, ListWorkersResponse>(name, args, Safe).await,
            "resume_worker" => {
                self.pass::<ResumeWorkerParams, ResumeWorkerResponse>(name, args, Unsafe).await
            }
            "send_message_to_worker" => {
                self.pass::<SendMessageParams, SendMessageResponse>(name, args, Unsafe).await
            }
            "cancel_worker" => self.pass::<CancelWorkerParams, CancelWorkerResponse>(name, args, Safe).await,
            "answer_worker" => {
                self.pass::<AnswerWorkerParams, AnswerWorkerResponse>(name, args, Unsafe).await
            }
            "report_outcome" if self.role == Role::Mission => {
                self.pass::<ReportOutcomeParams, ReportOutcomeResponse>(name, args, Safe).await
            }
            _ => return Err(ErrorData::invalid_params(format!("unknown tool: {name}"), None)),
        };
        Ok(result.into())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}

/// Progress of one call: seconds so far, which always rise.
struct Progress<'a> {
    context: &'a RequestContext<RoleServer>,
    start: Instant,
}

impl<'a> Progress<'a> {
    fn new(context: &'a RequestContext<RoleServer>) -> Self {
        Self { context, start: Instant::now() }
    }

    fn tell(&self, message: String) -> impl Future<Output = ()> + use<'_, 'a> {
        let context = self.context;
        let seconds = self.start.elapsed().as_secs_f64();
        async move {
            let Some(token) = context.meta.get_progress_token() else { return };
            let progress = ProgressNotificationParam::new(token, seconds).with_message(message);
            // A client that has gone cancels the call; that is noticed there.
            let _ = context.peer.notify_progress(progress).await;
        }
    }
}
