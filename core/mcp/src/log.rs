//! Where a server talks: stderr, because stdout belongs to the protocol.

use tracing_subscriber::EnvFilter;

/// Logs to stderr what `SANDBOXED_SH_LOG` lets through, else warnings.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("SANDBOXED_SH_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
