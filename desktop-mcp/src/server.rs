//! The MCP server: one handler for stdio and HTTP, both protocol eras.

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, JsonObject, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use sandboxed_mcp::{Answer, Progress, listing, outcome, parse};

use crate::a11y::{ActParams, SnapshotParams, act_on, snapshot};
use crate::act::{self, ComputerParams};
use crate::error::Result;
use crate::ocr::{FindTextParams, find_text};
use crate::record::{RecordParams, record};
use crate::see::{ScreenshotParams, WindowsParams, list_windows, screenshot};
use crate::session::{self, Desktops};
use crate::stream::{Studio, stream};
use crate::tools;
use crate::wait::{WaitParams, wait_for};

/// The server's state; clones share it, one clone serves each HTTP request.
#[derive(Debug, Clone, Default)]
pub struct Server {
    desktops: Desktops,
    studio: Studio,
}

impl Server {
    /// A server of these desktops.
    pub fn new(desktops: Desktops) -> Self {
        Self { desktops, studio: Studio::default() }
    }

    /// Its desktops.
    pub fn desktops(&self) -> &Desktops {
        &self.desktops
    }

    async fn call(&self, name: &str, arguments: Option<JsonObject>) -> Result<Option<Answer>> {
        let desktops = &self.desktops;
        let answer = match name {
            "start_desktop" => Answer::data(&session::start_desktop(desktops, parse(arguments)?).await?)?,
            "list_desktops" => {
                let session::ListParams {} = parse(arguments)?;
                Answer::data(&session::list_desktops(desktops).await)?
            }
            "resize_desktop" => Answer::data(&session::resize_desktop(desktops, parse(arguments)?).await?)?,
            "stop_desktop" => Answer::data(&session::stop_desktop(desktops, parse(arguments)?).await?)?,
            "screenshot" => {
                let params: ScreenshotParams = parse(arguments)?;
                screenshot(&*desktops.named(&params.desktop)?, params).await?
            }
            "list_windows" => {
                let params: WindowsParams = parse(arguments)?;
                Answer::data(&list_windows(&*desktops.named(&params.desktop)?).await?)?
            }
            "computer" => {
                act::refuse_elsewhere(arguments.as_ref())?;
                let params: ComputerParams = parse(arguments)?;
                act::computer(&*desktops.named(&params.desktop)?, params).await?
            }
            "launch_program" => {
                let params: act::LaunchParams = parse(arguments)?;
                Answer::data(&act::launch_program(&*desktops.named(&params.desktop)?, params).await?)?
            }
            "manage_window" => {
                let params: act::ManageParams = parse(arguments)?;
                Answer::data(&act::manage_window(&*desktops.named(&params.desktop)?, params).await?)?
            }
            "get_clipboard" => {
                let params: act::GetClipboardParams = parse(arguments)?;
                act::get_clipboard(&*desktops.named(&params.desktop)?).await?
            }
            "set_clipboard" => {
                let params: act::SetClipboardParams = parse(arguments)?;
                act::set_clipboard(&*desktops.named(&params.desktop)?, params).await?
            }
            "snapshot" => {
                let params: SnapshotParams = parse(arguments)?;
                snapshot(&*desktops.named(&params.desktop)?, params).await?
            }
            "act_on" => {
                let params: ActParams = parse(arguments)?;
                act_on(&*desktops.named(&params.desktop)?, params).await?
            }
            "find_text" => {
                let params: FindTextParams = parse(arguments)?;
                find_text(&*desktops.named(&params.desktop)?, params).await?
            }
            "wait_for" => {
                let params: WaitParams = parse(arguments)?;
                wait_for(&*desktops.named(&params.desktop)?, params).await?
            }
            "record" => {
                let params: RecordParams = parse(arguments)?;
                record(&*desktops.named(&params.desktop)?, params).await?
            }
            "stream" => Answer::data(&stream(desktops, &self.studio, parse(arguments)?).await?)?,
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        // Who asks for prompts gets an empty list; who answers must say so.
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_prompts().build())
            .with_server_info(Implementation::new("sandboxed-sh-desktop", env!("CARGO_PKG_VERSION")))
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
        let called = tokio::select! {
            called = self.call(name, request.arguments) => called,
            () = progress.keep_alive() => Err(progress.problem()),
            () = progress.cancelled() => Err(progress.problem()),
        };
        outcome(name, called)
    }
}
