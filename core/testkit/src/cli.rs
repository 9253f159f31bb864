//! The real agent CLIs that end-to-end tests run: each is named by an environment variable.
//!
//! A test whose CLI is missing fails and says how to get it: a skipped test proves nothing.

use std::{env, path::PathBuf};

use thiserror::Error;

/// A real agent CLI, found by the environment variable that names its binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cli {
    /// Claude Code.
    Claude,
}

/// The CLI a test needs is not there.
#[derive(Debug, Error)]
pub enum MissingCli {
    /// The variable is not set.
    #[error("{variable} is not set; install the CLI and set it:\n{install}")]
    Unset {
        /// Name of the variable.
        variable: &'static str,
        /// Shell lines that install the CLI and set the variable.
        install: &'static str,
    },
    /// The variable names something that is not a file.
    #[error("{variable} names {path:?}, which is not a file; install the CLI and set it:\n{install}")]
    NotAFile {
        /// Name of the variable.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
        /// Shell lines that install the CLI and set the variable.
        install: &'static str,
    },
}

impl Cli {
    /// The environment variable that holds the path of the binary.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Claude => "SANDBOXED_SH_TEST_CLAUDE",
        }
    }

    /// Shell lines that install the CLI into `$DIR` and set the variable.
    pub fn install(self) -> &'static str {
        match self {
            Self::Claude => concat!(
                "  . core/testkit/clis.env\n",
                "  npm install --prefix \"$DIR\" @anthropic-ai/claude-code@$CLAUDE_CODE_VERSION\n",
                "  export SANDBOXED_SH_TEST_CLAUDE=\"$DIR\"/node_modules/@anthropic-ai/claude-code-linux-x64/claude"
            ),
        }
    }

    /// The path of the binary.
    ///
    /// # Errors
    /// [`MissingCli`] when the variable is unset or names no file; its text says how to install the CLI.
    pub fn path(self) -> Result<PathBuf, MissingCli> {
        let (variable, install) = (self.variable(), self.install());
        let path: PathBuf = env::var_os(variable).ok_or(MissingCli::Unset { variable, install })?.into();
        if path.is_file() { Ok(path) } else { Err(MissingCli::NotAFile { variable, path, install }) }
    }
}
