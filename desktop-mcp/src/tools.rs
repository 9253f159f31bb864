//! The list of tools and the words that go with it.

use rmcp::model::Tool;

use crate::{a11y, act, ocr, record, see, session, stream, wait};

/// What a client's model reads first. Codex shows about the first 250 characters.
pub const INSTRUCTIONS: &str = "\
Desktops of your own: start_desktop, launch_program. Look with snapshot (text with refs) and act_on those; where programs \
tell nothing, screenshot and computer, with places in pixels of the whole screen's picture. Then wait_for.

A failure has a code, a message and a hint that says what to call next. Desktops end with this session, and all programs \
in them.";

/// The list of tools.
///
/// # Errors
/// When a schema cannot be made.
pub fn list() -> Result<Vec<Tool>, String> {
    let mut tools = session::tools()?;
    for more in [see::tools, a11y::tools, act::tools, wait::tools, ocr::tools, record::tools, stream::tools] {
        tools.extend(more()?);
    }
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_short_and_hinted_and_the_workflow_stands_first() {
        assert_eq!(sandboxed_mcp::tools::faults(&list().unwrap(), INSTRUCTIONS, 20, &[]), [""; 0]);
    }
}
