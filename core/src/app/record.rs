//! The completion record of a worker, within its byte budget.

use sandboxed_domain::api::{
    ApiError, CompletionRecord, Cost, GetWorkerParams, GetWorkerResponse, LogPaths, McpState, Reported,
    WorkerViewKind,
};
use sandboxed_domain::policy::{cut_middle, head_at};

use super::App;
use super::caller::Identity;
use crate::store::{self, MissionRow, RunKind, RunRow};

/// Budget of an answer when the caller names none, in bytes.
const DEFAULT_BYTES: u32 = 4096;
/// Bounds of a budget.
const BYTES: std::ops::RangeInclusive<u32> = 256..=32_768;

impl App {
    /// One worker: its record, or a page of its transcript, diff or log.
    ///
    /// # Errors
    /// Unknown worker, a budget out of bounds, a cursor that is none.
    pub async fn get_worker(
        &self,
        identity: &Identity,
        params: GetWorkerParams,
    ) -> Result<GetWorkerResponse, ApiError> {
        let bytes = params.max_bytes.unwrap_or(DEFAULT_BYTES);
        if !BYTES.contains(&bytes) {
            return Err(
                ApiError::invalid("max_bytes", format!("{bytes} is out of bounds")).hint("256 to 32768")
            );
        }
        let row = self.worker(&Self::boss_name(identity)?, &params.worker_id).await?;
        self.worker_view(row, params.view, params.cursor, bytes as usize).await
    }

    pub(super) async fn worker_view(
        &self,
        row: MissionRow,
        view: WorkerViewKind,
        cursor: Option<String>,
        bytes: usize,
    ) -> Result<GetWorkerResponse, ApiError> {
        let worker_id = row.id;
        // Room for the frame around a page.
        let room = bytes.saturating_sub(160).max(64);
        let (text, next_cursor) = match view {
            WorkerViewKind::Result => {
                let record = Some(fit(self.record(row).await?, bytes.saturating_sub(100)));
                return Ok(GetWorkerResponse { worker_id, view, record, text: None, next_cursor: None });
            }
            WorkerViewKind::Transcript => self.transcript_page(&row, cursor, room).await?,
            WorkerViewKind::Diff => self.diff_page(&row, cursor, room).await?,
            WorkerViewKind::Log => self.log_page(&row, cursor, room).await?,
        };
        Ok(GetWorkerResponse { worker_id, view, record: None, text: Some(text), next_cursor })
    }

    async fn record(&self, row: MissionRow) -> Result<CompletionRecord, ApiError> {
        let id = row.id;
        let found = self.store.read(move |c| Ok((store::runs_of(c, id)?, store::mcp_servers(c, id)?)));
        let (runs, mcp_servers) = found.await?;
        let last = runs.iter().rev().find(|run| run.kind == RunKind::Turn);
        let log_paths = last.map(|run| self.log_paths(&row, run));
        let exit = last.and_then(|run| run.exit.as_ref());
        Ok(CompletionRecord {
            worker_id: id,
            seconds: row.seconds(),
            exit_code: exit.and_then(|exit| exit.exit_code),
            signal: exit.and_then(|exit| exit.signal),
            task_key: row.task_key,
            title: row.title,
            status: row.status,
            terminal_reason: row.terminal_reason,
            reported: row.reported.unwrap_or_else(|| Reported {
                outcome: None,
                summary: String::new(),
                by: Default::default(),
                blocker: None,
            }),
            verification: row.verification,
            git: row.git,
            git_error: row.git_error,
            cost: Cost {
                usd: row.cost_usd,
                input_tokens: row.input_tokens,
                output_tokens: row.output_tokens,
                source: if row.input_tokens + row.output_tokens > 0 { "harness" } else { "none" }.to_owned(),
            },
            turns: row.turns,
            last_message: cut_middle(&row.last_message, 2048),
            working_directory: row.working_directory,
            log_paths,
            error: row.error,
            mcp_servers,
        })
    }

    fn log_paths(&self, row: &MissionRow, run: &RunRow) -> LogPaths {
        let directory = self.workspaces.paths(row.workspace_id).run(&run.id.to_string());
        LogPaths {
            stdout: directory.join(&run.plan.stdout_name).display().to_string(),
            stderr: directory.join(sandbox_runner::protocol::STDERR_FILE).display().to_string(),
            run_directory: directory.display().to_string(),
        }
    }
}

/// Cuts the long texts of a record, ever shorter, until it fits; the facts stay whole.
fn fit(mut record: CompletionRecord, bytes: usize) -> CompletionRecord {
    for most in [2048, 1000, 500, 250, 120, 60, 30, 0] {
        if serde_json::to_vec(&record).map_or(0, |json| json.len()) <= bytes {
            break;
        }
        for text in
            [&mut record.last_message, &mut record.reported.summary].into_iter().chain(&mut record.error)
        {
            *text = cut_middle(text, most);
        }
        if let Some(blocker) = &mut record.reported.blocker {
            *blocker = cut_middle(blocker, most);
        }
        if let Some(check) = &mut record.verification {
            check.output_tail = cut_middle(&check.output_tail, most);
            check.command = cut_middle(&check.command, most.max(60));
        }
        if let Some(error) = &mut record.git_error {
            *error = cut_middle(error, most);
        }
        for detail in record.mcp_servers.iter_mut().filter_map(|server| server.detail.as_mut()) {
            *detail = cut_middle(detail, most);
        }
        record.title = head_at(&record.title, most.max(60)).to_owned();
        if most < 120 {
            record.log_paths = None;
            record.mcp_servers.retain(|server| server.state != McpState::Ready);
        }
        if most == 0 {
            record.mcp_servers.clear();
        }
    }
    record
}
