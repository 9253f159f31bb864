//! Lists of tools, and what came of calls, as the client's protocol has them.

use std::fmt::Display;

use rmcp::{
    ErrorData, RoleServer,
    model::{CacheScope, CallToolResponse, ListToolsResult, ProtocolVersion, Tool},
    service::RequestContext,
};
use serde::Serialize;

use crate::{Answer, refusal};

/// How long a client may keep the list of tools.
const TTL_MS: u64 = 60 * 60 * 1000;

/// All tools. The list is fixed for as long as the process lives.
///
/// # Errors
/// What kept it from being made.
pub fn listing(
    tools: Result<Vec<Tool>, String>,
    context: &RequestContext<RoleServer>,
) -> Result<ListToolsResult, ErrorData> {
    let tools = tools.map_err(|error| ErrorData::internal_error(error, None))?;
    let list = ListToolsResult::with_all_items(tools);
    let modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    Ok(if modern { list.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public) } else { list })
}

/// What came of a call of the tool `name`; nothing when there is no such tool.
///
/// # Errors
/// There is no such tool. A call that failed is an answer too.
pub fn outcome<P: Serialize + Display>(
    name: &str,
    called: Result<Option<Answer>, P>,
) -> Result<CallToolResponse, ErrorData> {
    match called {
        Ok(Some(answer)) => Ok(answer.into_result().into()),
        Ok(None) => Err(ErrorData::invalid_params(format!("unknown tool: {name}"), None)),
        Err(problem) => Ok(refusal(&problem).into()),
    }
}
