//! The real agent CLIs against the stub, without a sandbox. Needs the CLIs, see `sandboxed_testkit::cli`; without them
//! the tests fail. To run all others: `cargo nextest run -p sandboxed-testkit -E 'not binary(agents)'`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod claude;
mod claude_agent;
mod codex;
mod gemini;
mod grok;
mod mcp;
mod opencode;
mod run;
