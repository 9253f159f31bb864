//! Is it there, is it ours, is it the right build? And making it so.

use std::{fmt, path::PathBuf, time::Duration};

use sandboxed_domain::api::{ApiError, ErrorCode, HealthResponse};
use serde::Serialize;

use super::{
    build_id::build_id_of,
    files::StateFiles,
    process::ProcessId,
    start::{StartOptions, StartOutcome, StartTurn, start_locked},
    stop::stop_locked,
};
use crate::{
    http::Client,
    settings::{Ownership, Settings},
};

/// How long a daemon that is shutting down may take before it counts as hanging.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What a caller may want to tell its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The running daemon is of another build and is replaced.
    Outdated {
        /// Build id of the running one.
        from: String,
        /// Build id of the one to start.
        to: String,
    },
    /// There was none; it has been started.
    Started {
        /// Its pid.
        pid: u32,
        /// Where it logs to.
        log: PathBuf,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outdated { from, to } => write!(f, "daemon outdated (build {from} -> {to}), restarting..."),
            Self::Started { pid, log } => write!(f, "daemon started (pid {pid}, log {})", log.display()),
        }
    }
}

/// `daemon status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DaemonStatus {
    /// Whether the daemon of this data directory and address runs.
    pub running: bool,
    /// Whether it answers `/api/health`.
    pub healthy: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// Its build.
    pub build_id: Option<String>,
    /// Whether the next use would replace it.
    pub outdated: bool,
    /// Address it listens on.
    pub host: String,
    /// Port it listens on.
    pub port: u16,
    /// Its log file.
    pub log: PathBuf,
}

/// Looks, changes nothing.
///
/// # Errors
/// Only when the HTTP client cannot be built.
pub async fn status(settings: &Settings, options: &StartOptions) -> Result<DaemonStatus, ApiError> {
    let files = StateFiles::new(settings);
    let process = files.running();
    let health = match process {
        Some(_) => Client::from_settings(settings)?.health().await.ok(),
        None => None,
    };
    let build_id = match (&health, process) {
        (Some(health), _) => Some(health.build_id.clone()),
        (None, Some(_)) => files.recorded_build(),
        (None, None) => None,
    };
    let wanted = options.program().and_then(|program| build_id_of(&program)).ok();
    Ok(DaemonStatus {
        running: process.is_some(),
        healthy: health.is_some(),
        pid: process.map(|p| p.pid),
        outdated: matches!((&build_id, &wanted), (Some(is), Some(want)) if is != want),
        build_id,
        host: settings.host.to_string(),
        port: settings.port,
        log: files.log,
    })
}

/// A client of a daemon that runs and is of the build that `options` would start. A missing one is started, one
/// of another build replaced; runs go on meanwhile. `notice` hears what is done. An endpoint named by
/// `SANDBOXED_SH_API_URL` is somebody else's: nothing is started or compared.
///
/// # Errors
/// `DaemonUnreachable` when a daemon runs but does not answer, or a foreign one does not; `PortInUse` when
/// something else answers at the address; what `start` and `stop` report.
pub async fn ensure_running(
    settings: &Settings,
    options: &StartOptions,
    notice: &(dyn Fn(Notice) + Send + Sync),
) -> Result<Client, ApiError> {
    let client = Client::from_settings(settings)?;
    if settings.ownership == Ownership::Foreign {
        client.health().await?;
        return Ok(client);
    }
    let files = StateFiles::new(settings);
    if matches!(look(&client, options, &files).await, Ok(Finding::Good)) {
        return Ok(client);
    }
    let turn = StartTurn::take(&files).await?;
    // Another starter may have been at it while this one waited; only now is what is seen settled.
    match look(&client, options, &files).await? {
        Finding::Good => return Ok(client),
        Finding::Absent => {}
        Finding::Silent(process, error) => wait_for_end(process, &error, &files).await?,
        Finding::Outdated { from, to } => {
            notice(Notice::Outdated { from, to });
            stop_locked(&files).await?;
        }
    }
    if let StartOutcome::Started(process) = start_locked(settings, options, &files).await? {
        notice(Notice::Started { pid: process.pid, log: files.log.clone() });
    }
    drop(turn);
    client.health().await?;
    Ok(client)
}

#[derive(Debug)]
enum Finding {
    Good,
    Absent,
    /// The process is there and answers nothing.
    Silent(ProcessId, ApiError),
    Outdated {
        from: String,
        to: String,
    },
}

async fn look(client: &Client, options: &StartOptions, files: &StateFiles) -> Result<Finding, ApiError> {
    let health = match (client.health().await, files.running()) {
        (Ok(health), Some(process)) if health.pid == process.pid => health,
        (Ok(health), _) => return Err(foreign(client, &health)),
        (Err(_), None) => return Ok(Finding::Absent),
        // It may have come up between the two looks.
        (Err(_), Some(process)) => match client.health().await {
            Ok(health) => health,
            Err(e) => return Ok(Finding::Silent(process, e)),
        },
    };
    // Without a program to start there is nothing to compare with, and a healthy daemon is good enough.
    let Ok(program) = options.program() else { return Ok(Finding::Good) };
    let to = build_id_of(&program)?;
    if health.build_id == to {
        Ok(Finding::Good)
    } else {
        Ok(Finding::Outdated { from: health.build_id, to })
    }
}

/// A daemon that refuses connections is on its way out, unless it hangs.
async fn wait_for_end(process: ProcessId, error: &ApiError, files: &StateFiles) -> Result<(), ApiError> {
    let ended = match process.open() {
        Ok(Some(handle)) => handle.ended_within(SHUTDOWN).await.unwrap_or(false),
        Ok(None) => true,
        Err(_) => false,
    };
    if ended {
        return Ok(());
    }
    let message = format!("the daemon (pid {}) runs but does not answer: {}", process.pid, error.message);
    Err(ApiError::new(ErrorCode::DaemonUnreachable, message)
        .hint(format!("see {}; `sandboxed-sh daemon stop` ends it, missions go on", files.log.display())))
}

fn foreign(client: &Client, health: &HealthResponse) -> ApiError {
    let settings = client.settings();
    let message = format!(
        "{} is served by pid {}, which is not the daemon of {}",
        settings.endpoint,
        health.pid,
        settings.data_dir.display()
    );
    ApiError::new(ErrorCode::PortInUse, message)
        .field("SANDBOXED_SH_PORT")
        .hint("set SANDBOXED_SH_DATA_DIR to that daemon's, choose another SANDBOXED_SH_PORT, or set SANDBOXED_SH_API_URL")
}
