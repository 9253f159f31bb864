//! What a worker, a message or a report may look like.

use std::collections::BTreeMap;

use serde_json::Value;

use super::params::{join, parse_params};
use crate::api::{
    ApiError, BatchCreateParams, Effort, ErrorCode, ReportOutcomeParams, WorkerSpec, WorktreeSpec,
};
use crate::harness;

/// Workers in one batch.
pub const MAX_BATCH: usize = 64;
/// Prompts and messages, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Titles, keys and names, in characters.
pub const MAX_NAME_CHARS: usize = 200;
/// Acceptance criteria of one worker.
pub const MAX_CRITERIA: usize = 50;
/// One acceptance criterion, in characters.
pub const MAX_CRITERION_CHARS: usize = 2000;
/// A verification command, in bytes.
pub const MAX_VERIFICATION_BYTES: usize = 64 * 1024;
/// Longest time of a turn, in seconds (a week).
pub const MAX_TIMEOUT_SECONDS: u64 = 604_800;
/// Variables of one worker.
pub const MAX_ENV_ENTRIES: usize = 128;
/// Value of one variable, in bytes.
pub const MAX_ENV_VALUE_BYTES: usize = 32 * 1024;
/// Arguments of a command.
pub const MAX_ARGUMENTS: usize = 1024;
/// One argument in bytes; the kernel takes 128 KiB.
pub const MAX_ARGUMENT_BYTES: usize = 96 * 1024;
/// Length of a path in bytes (`PATH_MAX`).
pub const MAX_PATH_BYTES: usize = 4096;
/// Summary of a report, in characters.
pub const MAX_SUMMARY_CHARS: usize = 4000;
/// Variables that the platform sets.
const RESERVED_ENV_PREFIX: &str = "SANDBOXED_SH_";

/// The outer frame of a batch; its entries are checked one by one with [`worker_spec`].
pub fn check_batch(params: &BatchCreateParams) -> Result<(), ApiError> {
    match params.workers.len() {
        0 => {
            return Err(ApiError::invalid("workers", "at least one worker is needed")
                .hint("describe it in workers[0]"));
        }
        1..=MAX_BATCH => {}
        n => {
            return Err(ApiError::new(ErrorCode::TooLarge, format!("{n} workers in one batch"))
                .field("workers")
                .hint(format!("send at most {MAX_BATCH} at a time")));
        }
    }
    params.idempotency_key.as_deref().map_or(Ok(()), |key| name("idempotency_key".to_owned(), key))
}

/// Reads and checks entry `index` of a batch. Fields are named as `workers[index].…`.
pub fn worker_spec(value: &Value, index: usize) -> Result<WorkerSpec, ApiError> {
    let at = format!("workers[{index}]");
    let spec: WorkerSpec = parse_params(value, &at)?;
    let field = |name: &str| join(&at, name);
    available(&spec, &at)?;
    name(field("title"), &spec.title)?;
    message(&field("prompt"), &spec.prompt)?;
    for (key, value) in
        [("task_key", &spec.task_key), ("model", &spec.model), ("workspace_id", &spec.workspace_id)]
    {
        value.as_deref().map_or(Ok(()), |value| name(field(key), value))?;
    }
    backend(&spec, &at)?;
    place(&spec, &at)?;
    criteria(&spec.acceptance_criteria, &field("acceptance_criteria"))?;
    if let Some(command) = &spec.verification_command {
        let field = field("verification_command");
        not_blank(&field, command)?;
        no_nul(&field, command)?;
        at_most(&field, command.len(), MAX_VERIFICATION_BYTES, "bytes")?;
    }
    if let Some(seconds) = spec.timeout_seconds.filter(|s| !(1..=MAX_TIMEOUT_SECONDS).contains(s)) {
        let message = format!("{seconds} is not between 1 and {MAX_TIMEOUT_SECONDS} seconds");
        return Err(ApiError::invalid(field("timeout_seconds"), message)
            .hint("choose a value in these bounds, or leave it out"));
    }
    env(&spec.env, &field("env"))?;
    Ok(spec)
}

/// A prompt or message: not blank, at most 1 MiB.
pub fn message(field: &str, text: &str) -> Result<(), ApiError> {
    at_most(field, text.len(), MAX_MESSAGE_BYTES, "bytes")?;
    not_blank(field, text)
}

/// A worker's report about itself.
pub fn check_report(params: &ReportOutcomeParams) -> Result<(), ApiError> {
    not_blank("summary", &params.summary)?;
    at_most("summary", params.summary.chars().count(), MAX_SUMMARY_CHARS, "characters")?;
    let blocker = params.blocker.as_deref().unwrap_or_default();
    at_most("blocker", blocker.chars().count(), MAX_SUMMARY_CHARS, "characters")
}

/// An effort given as text.
pub fn effort(field: &str, text: &str) -> Result<Effort, ApiError> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| {
        ApiError::invalid(field, format!("`{}` is not an effort", super::head_at(text, 50)))
            .hint("use low, medium, high, xhigh or max")
    })
}

/// Features that have a name but are not there yet are refused, not ignored.
fn available(spec: &WorkerSpec, at: &str) -> Result<(), ApiError> {
    let refuse = |name: &str, message: &str, hint: &str| {
        Err(ApiError::new(ErrorCode::NotAvailable, message).field(join(at, name)).hint(hint))
    };
    if spec.budget_usd.is_some() {
        let hint = "leave it out, set timeout_seconds, and read cost.usd in the completion record";
        return refuse("budget_usd", "budgets are not available yet", hint);
    }
    Ok(())
}

/// Backend, model, effort and command must go together.
fn backend(spec: &WorkerSpec, at: &str) -> Result<(), ApiError> {
    let prefixed = |mut error: ApiError| {
        error.field = Some(join(at, error.field.as_deref().unwrap_or_default()));
        error
    };
    let harness = harness::find(&spec.backend).map_err(prefixed)?;
    harness.check_model(spec.model.as_deref(), spec.effort).map_err(prefixed)?;
    let field = join(at, "command");
    if !harness.capabilities().argv {
        if !spec.command.is_empty() {
            let message = format!("the backend `{}` takes no command", spec.backend);
            return Err(ApiError::invalid(field, message).hint("leave it out, or use backend `command`"));
        }
        return Ok(());
    }
    at_most(&field, spec.command.len(), MAX_ARGUMENTS, "arguments")?;
    for (index, argument) in spec.command.iter().enumerate() {
        let field = format!("{field}[{index}]");
        no_nul(&field, argument)?;
        at_most(&field, argument.len(), MAX_ARGUMENT_BYTES, "bytes")?;
    }
    if spec.command.first().is_some_and(String::is_empty) {
        return Err(ApiError::invalid(format!("{field}[0]"), "the program's name is empty")
            .hint("name a program, or leave command out and write a script as the prompt"));
    }
    // Without an argv the prompt is the script.
    no_nul(&join(at, "prompt"), &spec.prompt)
}

fn place(spec: &WorkerSpec, at: &str) -> Result<(), ApiError> {
    if let Some(directory) = &spec.working_directory {
        let field = join(at, "working_directory");
        if spec.worktree.is_some() {
            return Err(ApiError::invalid(field, "working_directory and worktree exclude each other")
                .hint("keep one: a worktree is the worker's directory"));
        }
        absolute_path(&field, directory)?;
    }
    spec.worktree.as_ref().map_or(Ok(()), |worktree| check_worktree(worktree, &join(at, "worktree")))
}

fn check_worktree(worktree: &WorktreeSpec, at: &str) -> Result<(), ApiError> {
    if let Some(repo) = &worktree.repo {
        absolute_path(&join(at, "repo"), repo)?;
    }
    branch_name(&join(at, "branch"), &worktree.branch)?;
    let Some(base) = &worktree.base else { return Ok(()) };
    let field = join(at, "base");
    name(field.clone(), base)?;
    if base.starts_with('-') || base.contains(char::is_whitespace) {
        return Err(ApiError::invalid(field, format!("`{base}` is not a commit, branch or tag"))
            .hint("name one that exists in the repository"));
    }
    Ok(())
}

/// A path inside a workspace: absolute, without `..`.
pub fn absolute_path(field: &str, path: &str) -> Result<(), ApiError> {
    at_most(field, path.len(), MAX_PATH_BYTES, "bytes")?;
    no_nul(field, path)?;
    if !path.starts_with('/') {
        return Err(ApiError::invalid(field, format!("`{path}` is not an absolute path"))
            .hint("give the path as get_workspace_layout shows it"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(ApiError::new(ErrorCode::PathOutsideWorkspace, format!("`{path}` contains `..`"))
            .field(field)
            .hint("give the path without `..`"));
    }
    Ok(())
}

/// The rules of `git check-ref-format --branch`.
pub fn branch_name(field: &str, branch: &str) -> Result<(), ApiError> {
    name(field.to_owned(), branch)?;
    let bad_char = |c: char| c.is_ascii_control() || c == ' ' || "~^:?*[\\".contains(c);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let illegal = branch.contains(bad_char)
        || branch.split('/').any(bad_part)
        || branch.contains("..")
        || branch.contains("@{")
        || branch.starts_with('-')
        || branch.ends_with('.')
        || ["@", "HEAD"].contains(&branch)
        || branch.starts_with("refs/");
    if !illegal {
        return Ok(());
    }
    Err(ApiError::invalid(field, format!("`{branch}` is not a legal branch name"))
        .hint("use letters, digits, `-`, `_`, `.` and `/`, for instance `task/fix-login`"))
}

fn criteria(criteria: &[String], at: &str) -> Result<(), ApiError> {
    at_most(at, criteria.len(), MAX_CRITERIA, "criteria")?;
    for (index, criterion) in criteria.iter().enumerate() {
        let field = format!("{at}[{index}]");
        not_blank(&field, criterion)?;
        at_most(&field, criterion.chars().count(), MAX_CRITERION_CHARS, "characters")?;
    }
    Ok(())
}

/// Values may be secrets: an error never repeats one.
fn env(env: &BTreeMap<String, String>, at: &str) -> Result<(), ApiError> {
    at_most(at, env.len(), MAX_ENV_ENTRIES, "variables")?;
    for (key, value) in env {
        let field = join(at, super::head_at(key, MAX_NAME_CHARS));
        let mut chars = key.chars();
        let legal = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
            && key.len() <= MAX_NAME_CHARS;
        if !legal {
            return Err(ApiError::invalid(field, "not a legal name of a variable")
                .hint("use letters, digits and `_`, not starting with a digit"));
        }
        if key.starts_with(RESERVED_ENV_PREFIX) {
            return Err(ApiError::invalid(field, format!("names with {RESERVED_ENV_PREFIX} are reserved"))
                .hint("choose another name"));
        }
        no_nul(&field, value)?;
        at_most(&field, value.len(), MAX_ENV_VALUE_BYTES, "bytes")?;
    }
    Ok(())
}

/// A title, key or name: one line of 1 to 200 characters.
fn name(field: String, text: &str) -> Result<(), ApiError> {
    not_blank(&field, text)?;
    at_most(&field, text.chars().count(), MAX_NAME_CHARS, "characters")?;
    match text.contains(char::is_control) {
        true => Err(ApiError::invalid(field, "contains a line break or another control character")
            .hint("write it in one line")),
        false => Ok(()),
    }
}

fn not_blank(field: &str, text: &str) -> Result<(), ApiError> {
    match text.trim().is_empty() {
        true => Err(ApiError::invalid(field, "is empty").hint("write something in it")),
        false => Ok(()),
    }
}

fn no_nul(field: &str, text: &str) -> Result<(), ApiError> {
    match text.contains('\0') {
        true => Err(ApiError::invalid(field, "contains a NUL").hint("leave the zero byte out")),
        false => Ok(()),
    }
}

fn at_most(field: &str, size: usize, limit: usize, unit: &str) -> Result<(), ApiError> {
    match size > limit {
        true => Err(ApiError::new(ErrorCode::TooLarge, format!("{size} {unit} are more than {limit}"))
            .field(field)
            .hint(format!("shorten it to at most {limit} {unit}"))),
        false => Ok(()),
    }
}
