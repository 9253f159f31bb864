//! The MCP server: one handler for stdio and HTTP, both protocol eras.

use std::sync::Arc;
use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, JsonObject, ListResourcesResult,
        ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use sandboxed_mcp::{Answer, Progress, listing, outcome, parse};
use serde::de::DeserializeOwned;

use crate::error::{Problem, Result};
use crate::fetch::{FetchParams, fetch_url};
use crate::files::{
    self, delete_file, edit_file, list_files, move_file, read_file, search_files, write_file,
};
use crate::git::{git_diff, git_log, git_status};
use crate::jobs::Jobs;
use crate::root::Root;
use crate::stop::Stop;
use crate::{resources, tools};

/// How long a walk over files may take.
const FILES_TIME: Duration = Duration::from_secs(30);
/// What answers in the end although a thread of it is still at work.
const FILES_MARGIN: Duration = Duration::from_secs(5);

/// The server's state; clones share it, one clone serves each HTTP request.
#[derive(Debug, Clone)]
pub struct Server {
    root: Arc<Root>,
    jobs: Jobs,
}

impl Server {
    /// A server for one workspace.
    pub fn new(jobs: Jobs, root: Arc<Root>) -> Self {
        Self { root, jobs }
    }

    /// Does something with files on a thread for that.
    async fn files<P, F>(
        &self,
        arguments: Option<JsonObject>,
        progress: &Progress<'_>,
        act: F,
    ) -> Result<Answer>
    where
        P: DeserializeOwned + Send + 'static,
        F: FnOnce(&Root, &P, &Stop) -> Result<Answer> + Send + 'static,
    {
        self.within(parse(arguments)?, FILES_TIME, progress, act).await
    }

    /// Does something on a thread, which is told when its time is over.
    async fn within<P, F>(&self, params: P, time: Duration, progress: &Progress<'_>, act: F) -> Result<Answer>
    where
        P: Send + 'static,
        F: FnOnce(&Root, &P, &Stop) -> Result<Answer> + Send + 'static,
    {
        let root = Arc::clone(&self.root);
        let stop = Stop::new(progress.token(), time);
        let late = stop.clone();
        let work = tokio::task::spawn_blocking(move || act(&root, &params, &stop));
        tokio::select! {
            done = tokio::time::timeout(time + FILES_MARGIN, work) => match done {
                Ok(done) => done.map_err(Problem::internal)?,
                Err(_) => Err(late.problem()),
            },
            () = progress.keep_alive() => Err(late.problem()),
        }
    }

    async fn call(
        &self,
        name: &str,
        arguments: Option<JsonObject>,
        progress: &Progress<'_>,
    ) -> Result<Option<Answer>> {
        let jobs = &self.jobs;
        let answer = match name {
            "read_file" => self.files(arguments, progress, read_file).await?,
            "list_files" => self.files(arguments, progress, list_files).await?,
            "search_files" => self.files(arguments, progress, search_files).await?,
            "write_file" => {
                let act = |root: &Root, params: &files::WriteParams, _: &Stop| {
                    Ok(Answer::data(&write_file(root, params)?)?)
                };
                self.files(arguments, progress, act).await?
            }
            "edit_file" => {
                let act = |root: &Root, params: &files::EditParams, _: &Stop| {
                    Ok(Answer::data(&edit_file(root, params)?)?)
                };
                self.files(arguments, progress, act).await?
            }
            "move_file" => {
                let act = |root: &Root, params: &files::MoveParams, _: &Stop| {
                    Ok(Answer::data(&move_file(root, params)?)?)
                };
                self.files(arguments, progress, act).await?
            }
            "delete_file" => {
                let act = |root: &Root, params: &files::DeleteParams, _: &Stop| {
                    Ok(Answer::data(&delete_file(root, params)?)?)
                };
                self.files(arguments, progress, act).await?
            }
            "fetch_url" => {
                let params: FetchParams = parse(arguments)?;
                self.within(params.clone(), params.time()?, progress, fetch_url).await?
            }
            "git_status" => self.files(arguments, progress, git_status).await?,
            "git_diff" => self.files(arguments, progress, git_diff).await?,
            "git_log" => self.files(arguments, progress, git_log).await?,
            "run_command" => jobs.run(&parse(arguments)?, progress).await?,
            "read_output" => jobs.read(&parse(arguments)?, progress).await?,
            "send_input" => jobs.input(&parse(arguments)?, progress).await?,
            "signal_job" => Answer::data(&jobs.signal(&parse(arguments)?).await?)?,
            "list_jobs" => Answer::data(&jobs.list(&parse(arguments)?).await?)?,
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        // Who asks for prompts gets an empty list; who answers must say so.
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("sandboxed-sh-workspace", env!("CARGO_PKG_VERSION")))
            .with_instructions(tools::INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        listing(tools::list(), &context)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::list().ok()?.into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let progress = Progress::begin(&context).await;
        let name = request.name.as_ref();
        outcome(name, self.call(name, request.arguments, &progress).await)
    }

    /// Which files there are, list_files tells in pages; here are none, only what answers link to can be read.
    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(Vec::new()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let root = Arc::clone(&self.root);
        let read = tokio::task::spawn_blocking(move || resources::read(&root, &request.uri)).await;
        let contents = read.map_err(|error| ErrorData::internal_error(error.to_string(), None))??;
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}
