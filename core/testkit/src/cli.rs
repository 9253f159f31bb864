//! The real agent CLIs that end-to-end tests run, and others' tests of protocols: each is named by an environment variable.
//!
//! A test whose CLI is missing fails and says how to get it: a skipped test proves nothing.

use std::{env, path::PathBuf};

use thiserror::Error;

/// A real agent CLI, or what one needs to run; found by the environment variable that names its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cli {
    /// Claude Code, a program.
    Claude,
    /// Codex: the program in its vendor directory, whose other files it needs.
    Codex,
    /// OpenCode, a program.
    OpenCode,
    /// Gemini CLI: a script for [`Cli::Node`], with the rest of its bundle beside it.
    Gemini,
    /// Grok Build, a static program.
    Grok,
    /// The Node.js that Gemini CLI runs on: one file that needs libstdc++ and nothing else unusual.
    Node,
    /// The conformance suite of MCP: a script for [`Cli::Node`].
    Conformance,
    /// The inspector of MCP: a script for [`Cli::Node`].
    Inspector,
    /// mcp-scanner, a program.
    McpScanner,
}

/// The CLI a test needs is not there.
#[derive(Debug, Error)]
pub enum MissingCli {
    /// The variable is not set.
    #[error("{variable} is not set; install the CLIs and set it: {INSTALL}")]
    Unset {
        /// Name of the variable.
        variable: &'static str,
    },
    /// The variable names something that is not a file.
    #[error(
        "{variable} names {path:?}, which is not a file; unset it, install the CLIs and set it: {INSTALL}"
    )]
    NotAFile {
        /// Name of the variable.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
    },
}

/// The line for a shell in the repository that installs all CLIs and sets the variables.
pub const INSTALL: &str = r#"eval "$(bash .ci/test --env)""#;

impl Cli {
    /// The environment variable that holds the path of the file.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Claude => "SANDBOXED_SH_TEST_CLAUDE",
            Self::Codex => "SANDBOXED_SH_TEST_CODEX",
            Self::OpenCode => "SANDBOXED_SH_TEST_OPENCODE",
            Self::Gemini => "SANDBOXED_SH_TEST_GEMINI",
            Self::Grok => "SANDBOXED_SH_TEST_GROK",
            Self::Node => "SANDBOXED_SH_TEST_NODE",
            Self::Conformance => "SANDBOXED_SH_TEST_CONFORMANCE",
            Self::Inspector => "SANDBOXED_SH_TEST_INSPECTOR",
            Self::McpScanner => "SANDBOXED_SH_TEST_MCP_SCANNER",
        }
    }

    /// The path of the file.
    ///
    /// # Errors
    /// [`MissingCli`] when the variable is unset or names no file; its text says how to install the CLI.
    pub fn path(self) -> Result<PathBuf, MissingCli> {
        let variable = self.variable();
        let path: PathBuf = env::var_os(variable).ok_or(MissingCli::Unset { variable })?.into();
        if path.is_file() { Ok(path) } else { Err(MissingCli::NotAFile { variable, path }) }
    }
}
