//! Who this server speaks for.

use anyhow::Context;
use sandboxed_client::{Endpoint, Settings};
use sandboxed_domain::api::Caller;

/// What the client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An outside client: a boss by its name.
    Boss,
    /// A mission: a worker that reports its outcome, and may itself have workers.
    Mission,
}

/// Name and place that go with each call.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Sent to the daemon; inside a mission the socket decides instead.
    pub caller: Caller,
    /// Which tools are offered.
    pub role: Role,
}

impl Identity {
    /// From the command line and the environment. Inside a mission `SANDBOXED_SH_MISSION_ID` is set and the
    /// API is a unix socket of that mission; both are needed, so that the variable alone claims nothing.
    pub fn find(
        boss: Option<String>,
        workspace: Option<String>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let inside = std::env::var_os("SANDBOXED_SH_MISSION_ID").is_some_and(|id| !id.is_empty());
        if inside && matches!(settings.endpoint, Endpoint::Unix(_)) {
            return Ok(Self { caller: Caller::default(), role: Role::Mission });
        }
        let here = std::env::current_dir().context("the working directory is gone")?;
        let here = here.to_str().context("the working directory's path is not UTF-8")?.to_owned();
        let boss = boss.filter(|name| !name.is_empty()).unwrap_or_else(|| here.clone());
        Ok(Self { caller: Caller { boss, working_directory: here, workspace }, role: Role::Boss })
    }
}
