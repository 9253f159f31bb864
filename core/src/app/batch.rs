//! `batch_create_workers`: each entry stands for itself, the same key gives the same workers.

use std::path::PathBuf;

use sandboxed_domain::api::{
    ApiError, BatchCreateParams, BatchCreateResponse, BatchEntry, ErrorCode, EventBody,
};
use sandboxed_domain::policy;
use sha2::{Digest, Sha256};

use super::App;
use super::caller::{Boss, Identity};
use super::entry::{Checked, Entry};
use crate::store::{self, MissionRow, StoreError, Tx};
use crate::workspace::save_fork;

impl App {
    /// Creates workers; they start as slots allow.
    ///
    /// # Errors
    /// The batch as a whole: too many, none, a key that was used for other workers. Entries carry their own errors.
    pub async fn batch_create(
        &self,
        identity: &Identity,
        params: BatchCreateParams,
    ) -> Result<BatchCreateResponse, ApiError> {
        policy::check_batch(&params)?;
        let boss = self.boss(identity).await?;
        let digest = digest(&params)?;
        let _one_at_a_time = self.batches.lock().await;
        if let Some(key) = params.idempotency_key.clone()
            && let Some(answer) = self.repeated(&boss.name, &key, &digest).await?
        {
            return Ok(answer);
        }
        let mut checked = Vec::with_capacity(params.workers.len());
        for (index, value) in params.workers.iter().enumerate() {
            checked.push(self.check_entry(&boss, index, value).await);
        }
        let spares = self.workspaces.paths(boss.workspace.id).spares;
        let roots: std::collections::BTreeSet<PathBuf> = checked.iter().filter_map(repository).collect();
        let answer = self.write_batch(boss, params.idempotency_key, digest, checked).await?;
        self.missions.granted();
        self.make_spares(spares, roots.into_iter().collect());
        Ok(answer)
    }

    async fn repeated(
        &self,
        boss: &str,
        key: &str,
        digest: &str,
    ) -> Result<Option<BatchCreateResponse>, ApiError> {
        let (boss, wanted) = (boss.to_owned(), key.to_owned());
        let Some((stored, answer)) = self.store.read(move |c| store::find_batch(c, &boss, &wanted)).await?
        else {
            return Ok(None);
        };
        if stored == digest {
            return Ok(Some(answer));
        }
        Err(ApiError::new(ErrorCode::Conflict, format!("idempotency_key {key:?} was used for other workers"))
            .field("idempotency_key")
            .hint("use a new key for a new batch; list_workers shows what the old one made"))
    }

    async fn write_batch(
        &self,
        boss: Boss,
        key: Option<String>,
        digest: String,
        checked: Vec<Result<Checked, ApiError>>,
    ) -> Result<BatchCreateResponse, ApiError> {
        Ok(self
            .store
            .write(move |tx| {
                let mut answer =
                    BatchCreateResponse { created: 0, existing: 0, failed: 0, workers: Vec::new() };
                for (index, entry) in checked.into_iter().enumerate() {
                    let outcome = match entry {
                        Ok(Checked::New(entry)) => insert(tx, *entry, index)?,
                        Ok(Checked::Existing(row)) => Inserted::Existing(row),
                        Err(error) => Inserted::Failed(error),
                    };
                    count(&mut answer, index, outcome);
                }
                if let Some(key) = key {
                    store::insert_batch(tx, &boss.name, &key, &digest, &answer)?;
                }
                Ok(answer)
            })
            .await?)
    }
}

/// The repository that a new worker has a worktree of.
fn repository(entry: &Result<Checked, ApiError>) -> Option<PathBuf> {
    match entry {
        Ok(Checked::New(entry)) => entry.row.repo.clone().map(PathBuf::from),
        Ok(Checked::Existing(_)) | Err(_) => None,
    }
}

fn digest(params: &BatchCreateParams) -> Result<String, ApiError> {
    let bytes = serde_json::to_vec(&params.workers)
        .map_err(|error| ApiError::invalid("workers", error.to_string()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

enum Inserted {
    New(Box<MissionRow>, Option<String>),
    Existing(Box<MissionRow>),
    Failed(ApiError),
}

/// Writes one worker. What another call or an earlier entry took meanwhile is found by the tables' unique indexes.
fn insert(tx: &mut Tx<'_>, entry: Entry, index: usize) -> Result<Inserted, StoreError> {
    let Entry { row, prompt, warning, fork } = entry;
    if let (Some(boss), Some(key)) = (&row.boss, &row.task_key)
        && let Some(existing) = store::find_by_task_key(tx, boss, key)?
    {
        return Ok(Inserted::Existing(Box::new(existing)));
    }
    match store::save_mission(tx, &row) {
        Ok(()) => {}
        Err(StoreError::Query(error))
            if error.sqlite_error_code() == Some(rusqlite::ffi::ErrorCode::ConstraintViolation) =>
        {
            let branch = row.branch.clone().unwrap_or_default();
            return Ok(Inserted::Failed(
                ApiError::new(
                    ErrorCode::BranchExists,
                    format!("branch {branch:?} belongs to another worker"),
                )
                .field(format!("workers[{index}].worktree.branch"))
                .hint("choose a branch of its own for each worker"),
            ));
        }
        Err(error) => return Err(error),
    }
    if let Some(fork) = fork {
        save_fork(tx, fork)?;
    }
    super::workers::enqueue_prompt(tx, row.id, prompt)?;
    store::append_event(
        tx,
        row.id,
        &EventBody::MissionStatusChanged { status: row.status, terminal_reason: None },
    )?;
    Ok(Inserted::New(Box::new(row), warning))
}

fn count(answer: &mut BatchCreateResponse, index: usize, outcome: Inserted) {
    let index = index as u32;
    let of = |row: &MissionRow| BatchEntry {
        index,
        worker_id: Some(row.id),
        task_key: row.task_key.clone(),
        status: row.status.as_str().to_owned(),
        worktree: row.worktree.clone(),
        warning: None,
        error: None,
    };
    let entry = match outcome {
        Inserted::New(row, warning) => {
            answer.created += 1;
            BatchEntry { warning, ..of(&row) }
        }
        Inserted::Existing(row) => {
            answer.existing += 1;
            of(&row)
        }
        Inserted::Failed(error) => {
            answer.failed += 1;
            BatchEntry {
                index,
                worker_id: None,
                task_key: None,
                status: "not_created".to_owned(),
                worktree: None,
                warning: None,
                error: Some(error),
            }
        }
    };
    answer.workers.push(entry);
}
