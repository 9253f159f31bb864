//! The story, told from the top.

use std::path::{Path, PathBuf};

use sandboxed_client::Client;
use sandboxed_client::daemon::StateFiles;
use sandboxed_domain::api::{
    ApiError, BatchCreateParams, BatchCreateResponse, ErrorCode, LayoutResponse, NoParams,
};

use super::boss::Boss;
use super::cleanup::Started;
use super::progress::Progress;
use super::report::{self, Row};
use super::repository;
use super::watch::Watch;
use super::workers::{self, Expected};
use crate::cli::args::DemoArgs;
use crate::cli::run::Outcome;
use crate::cli::visit::{self, INTERRUPTED, interrupted};
use crate::cli::{connect, doctor, out};

/// `demo`.
pub(in crate::cli) async fn run(args: DemoArgs) -> Outcome {
    let name = format!("demo-{}", chrono::Local::now().format("%Y%m%d-%H%M%S"));
    let specs = workers::batch(&name, &args.backend)?;
    out::say("== checking this machine");
    doctor::prepare(&|text| out::say(&format!("  {text}"))).await?;
    let mut started = start().await?;
    let told = tokio::select! {
        told = story(&args, &name, specs, &mut started) => told,
        () = interrupted() => {
            out::say("interrupted");
            Ok(INTERRUPTED)
        }
    };
    if args.keep {
        return told;
    }
    let ended = started.end(&|text| out::say(text)).await;
    told.and_then(|status| ended.map(|()| status))
}

async fn start() -> Result<Started, ApiError> {
    let (client, settings, daemon_was) = visit::arrive().await?;
    Ok(Started { client, settings, daemon_was, workspace: None })
}

async fn story(
    args: &DemoArgs,
    name: &str,
    specs: Vec<sandboxed_domain::api::WorkerSpec>,
    started: &mut Started,
) -> Outcome {
    let repo = repository::prepare(args, name)?;
    out::say(&format!("== repository {}", repo.display()));
    let boss = Boss::start(name, &repo).await?;
    let told = work(&boss, name, specs, &repo, started).await;
    boss.end().await;
    let watch = told?;
    let (rows_good, table) = merge(name, &repo, &watch, &args.backend).await?;
    out::say("");
    out::raw(&table)?;
    epilogue(&repo, started, &watch);
    Ok(u8::from(!rows_good))
}

/// Layout, image, batch, wait.
async fn work(
    boss: &Boss,
    name: &str,
    specs: Vec<sandboxed_domain::api::WorkerSpec>,
    repo: &Path,
    started: &mut Started,
) -> Result<Watch, ApiError> {
    let layout: LayoutResponse = boss.call("get_workspace_layout", &NoParams {}).await?;
    started.workspace = Some(layout.workspace.id);
    out::say(&format!(
        "== boss {name}, workspace {} with {} bound at its own path",
        layout.workspace.name,
        repo.display()
    ));
    let mut progress = Progress::new();
    image(&started.client, &layout, &progress).await?;
    let workers = specs.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    let workers = workers.map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?;
    let params = BatchCreateParams { workers, idempotency_key: Some(name.to_owned()) };
    let batch: BatchCreateResponse = boss.call("batch_create_workers", &params).await?;
    out::say(&format!("== {} workers in one batch, {} at once", batch.created, layout.limits.max_parallel));
    let mut watch = Watch::new(batch.workers)?;
    watch.run(boss, &mut progress).await?;
    Ok(watch)
}

async fn image(client: &Client, layout: &LayoutResponse, progress: &Progress) -> Result<(), ApiError> {
    let begun = std::time::Instant::now();
    let mut bar = progress.build();
    let built = client.build_workspace(&layout.workspace.id.to_string(), |step| bar.step(&step)).await;
    bar.end();
    let image = built?.image.unwrap_or_default();
    progress.say(&format!("== image {image} ready after {:.1} s", begun.elapsed().as_secs_f32()));
    Ok(())
}

/// Merges what verified, one by one. Whether everything came as it must, and the table.
async fn merge(boss: &str, repo: &Path, watch: &Watch, backend: &str) -> Result<(bool, String), ApiError> {
    out::say("== merging the verified branches");
    let mut good = true;
    let mut rows = Vec::new();
    for (name, record) in &watch.records {
        let Some(record) = record else { continue };
        let merged = if report::passed(record) {
            match repository::merge(repo, &workers::branch(boss, name)).await {
                Ok(how) => how.to_owned(),
                Err(error) => {
                    good = false;
                    format!("no: {}", error.message)
                }
            }
        } else {
            "no".to_owned()
        };
        good &= match workers::expected(name) {
            Expected::Verified => report::passed(record),
            // An agent may refuse to do the wrong thing; the platform's verdict must be the same.
            Expected::VerificationFailed => {
                report::reason(record) == "verification_failed" || backend != "command"
            }
        };
        rows.push(Row { name, record, merged });
    }
    Ok((good, report::table(&rows)))
}

fn epilogue(repo: &Path, started: &Started, watch: &Watch) {
    let runs = watch.records.iter().find_map(|(_, record)| record.as_ref()?.log_paths.as_ref());
    let runs = runs.and_then(|paths| PathBuf::from(&paths.run_directory).parent().map(Path::to_owned));
    out::say("");
    out::say(&format!("repository   {}  (git log --graph)", repo.display()));
    out::say(&format!("daemon log   {}", StateFiles::new(&started.settings).log.display()));
    if let Some(runs) = runs {
        out::say(&format!("run logs     {}", runs.display()));
    }
    for (label, command) in ["next", "or"].iter().zip(connect::commands()) {
        out::say(&format!("{label:<12} cd YOUR-REPOSITORY && {command}"));
    }
    out::say("");
}
