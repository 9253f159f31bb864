//! `wait_for_any_worker`: how long to block, and the wait itself.
//!
//! The daemon is asked in long polls of one keep-alive interval each, always with the caller's own cursor, so
//! that every one sees the same events and nothing is acknowledged that the model has not seen. It answers the
//! moment something happens; an empty answer says who runs, which becomes the next progress message. A daemon
//! that dies in between is awaited or started again, and the wait goes on until its deadline.

use std::time::Duration;

use sandboxed_client::Limit;
use sandboxed_domain::api::{ApiError, ErrorCode, RunningWorker, WaitParams, WaitResponse, WaitStatus};
use tokio::time::Instant;

use crate::daemon::{Daemon, Repeat};

/// Between two signs of life: a third of the shortest idle limit among clients (60 s to the first byte of HTTP).
pub const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// What a long poll may take beyond its own time before the connection counts as dead.
const POLL_MARGIN: Duration = Duration::from_secs(30);
/// A daemon that dies over and over again is not waited for any longer than this.
const MAX_OUTAGE: Duration = Duration::from_secs(60);
/// Pause before asking again after a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// Running workers named in a progress message.
const NAMED: usize = 3;

/// Claude Code: 30 minutes without a message end a call, so this holds even if progress were lost.
const CLAUDE: Duration = Duration::from_secs(25 * 60);
/// Codex: 300 s by default, which progress does not extend.
const CODEX: Duration = Duration::from_secs(280);
/// Anybody else: the TypeScript SDK gives up after 60 s.
const OTHERS: Duration = Duration::from_secs(50);
/// A task blocks nobody; a day bounds what a forgotten one costs.
const TASK: Duration = Duration::from_secs(24 * 60 * 60);

/// How the client takes the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The call blocks.
    Call,
    /// The client gets a task and is woken.
    Task,
}

/// How long a wait may last: by client, by `--max-wait` instead, and never longer than the caller asks.
///
/// # Errors
/// `InvalidArgument` for a time that is negative or no number.
pub fn budget(
    client: &str,
    delivery: Delivery,
    max_wait: Option<Duration>,
    asked_seconds: Option<f64>,
) -> Result<Duration, ApiError> {
    let own = match delivery {
        Delivery::Task => TASK,
        Delivery::Call if client.starts_with("claude") => CLAUDE,
        Delivery::Call if client.starts_with("codex") => CODEX,
        Delivery::Call => OTHERS,
    };
    let own = match delivery {
        Delivery::Task => own,
        Delivery::Call => max_wait.unwrap_or(own),
    };
    let Some(seconds) = asked_seconds else { return Ok(own) };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(ApiError::invalid("timeout_seconds", format!("{seconds} is not a time"))
            .hint("give seconds from 0 up, or leave it out"));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(own).min(own))
}

/// Waits for an event until `time` is over. `alive` hears who runs, at most every [`KEEP_ALIVE`].
///
/// Dropping the future drops only the wait.
pub async fn wait<F: Future<Output = ()>>(
    daemon: &Daemon,
    params: &WaitParams,
    time: Duration,
    mut alive: impl FnMut(String) -> F,
) -> Result<WaitResponse, ApiError> {
    let deadline = Instant::now() + time;
    let mut failing_since: Option<Instant> = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(daemon, params, left.min(KEEP_ALIVE)).await {
            Ok(answer) if answer.status != WaitStatus::Timeout || Instant::now() >= deadline => {
                return Ok(answer);
            }
            Ok(answer) => {
                failing_since = None;
                alive(describe(&answer.running, answer.running_total)).await;
            }
            Err(e) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if !is_passing(&e) || since.elapsed() > MAX_OUTAGE || Instant::now() >= deadline {
                    return Err(e);
                }
                alive(format!("waiting for the daemon: {}", e.message)).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn poll(daemon: &Daemon, params: &WaitParams, time: Duration) -> Result<WaitResponse, ApiError> {
    let params = WaitParams { timeout_seconds: Some(time.as_secs_f64()), ..params.clone() };
    daemon.call("wait_for_any_worker", &params, Limit::Within(time + POLL_MARGIN), Repeat::Safe).await
}

/// Whether the daemon may come back, as opposed to an answer that will not change.
fn is_passing(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::DaemonUnreachable | ErrorCode::TimedOut)
}

/// "3 running: fix tests 4m12s, …"
fn describe(running: &[RunningWorker], total: u32) -> String {
    let total = total.max(u32::try_from(running.len()).unwrap_or(u32::MAX));
    if total == 0 {
        return "no worker is running yet".to_owned();
    }
    let names = running.iter().take(NAMED).map(|worker| {
        let id = worker.worker_id.to_string();
        let (minutes, seconds) = (worker.seconds / 60, worker.seconds % 60);
        format!("{} {} {minutes}m{seconds:02}s", &id[..8], worker.status.as_str())
    });
    let names: Vec<_> = names.collect();
    let more = if total as usize > names.len() { ", …" } else { "" };
    format!("{total} running: {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_follows_the_client_and_the_caller_only_shortens() {
        let minute = Duration::from_secs(60);
        let cases = [
            ("claude-code", Delivery::Call, None, None, CLAUDE),
            ("codex-mcp-client", Delivery::Call, None, None, CODEX),
            ("cursor", Delivery::Call, None, None, OTHERS),
            ("", Delivery::Call, None, None, OTHERS),
            ("claude-code", Delivery::Task, None, None, TASK),
            ("claude-code", Delivery::Task, Some(minute), None, TASK),
            ("codex-mcp-client", Delivery::Call, Some(minute * 60), None, minute * 60),
            ("claude-code", Delivery::Call, Some(minute), None, minute),
            ("cursor", Delivery::Call, None, Some(5.0), Duration::from_secs(5)),
            ("cursor", Delivery::Call, None, Some(0.0), Duration::ZERO),
            ("cursor", Delivery::Call, None, Some(9999.0), OTHERS),
            ("cursor", Delivery::Call, None, Some(1e300), OTHERS),
            ("cursor", Delivery::Call, Some(minute), Some(9999.0), minute),
        ];
        for (client, delivery, max, asked, want) in cases {
            assert_eq!(
                budget(client, delivery, max, asked).unwrap(),
                want,
                "{client} {delivery:?} {max:?} {asked:?}"
            );
        }
        for bad in [-1.0, f64::NAN] {
            let e = budget("x", Delivery::Call, None, Some(bad)).unwrap_err();
            assert_eq!(e.field.as_deref(), Some("timeout_seconds"));
        }
    }
}
