//! The story, told from the top.

use std::time::{Duration, Instant};

use sandboxed_client::Client;
use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::{self, BackendKind};
use sandboxed_domain::smoke::Observed;
use uuid::Uuid;

use super::place::Place;
use super::report::Report;
use super::talk;
use crate::cli::args::SmokeArgs;
use crate::cli::out;
use crate::cli::run::Outcome;
use crate::cli::visit::{self, INTERRUPTED, interrupted};

/// Exit status of a test whose time was over.
const TIMED_OUT: u8 = 5;

/// `smoke`.
pub(in crate::cli) async fn run(args: SmokeArgs) -> Outcome {
    let harness = harness::find(&args.backend)?;
    if harness.capabilities().kind != BackendKind::Agent {
        let why = format!("backend {} is no agent", args.backend);
        return Err(ApiError::invalid("backend", why).hint("there is nothing to talk to"));
    }
    let (client, settings, daemon_was) = visit::arrive().await?;
    let mut place = Place::new(client.clone(), args.workspace.clone());
    let told = tokio::select! {
        told = story(&args, &client, &mut place) => told,
        () = interrupted() => {
            out::say("interrupted");
            Ok(INTERRUPTED)
        }
    };
    if args.keep {
        return told;
    }
    let say = |text: &str| out::say(text);
    let ended = place.leave(&say).await.and(daemon_was.leave(&settings, &say).await);
    told.and_then(|status| ended.map(|()| status))
}

async fn story(args: &SmokeArgs, client: &Client, place: &mut Place) -> Outcome {
    require_ready(client, &args.backend).await?;
    let workspace = place.prepare().await?;
    out::say(&format!("== {} in workspace {}", args.backend, workspace.name));
    let begun = Instant::now();
    let mut observed = Observed::new(&Uuid::new_v4().simple().to_string()[..12]);
    let mission = place.mission(args).await?;
    let limit = Duration::from_secs(args.timeout);
    let talked = tokio::time::timeout(limit, talk::talk(client, &workspace, mission, &mut observed)).await;
    let in_time = talked.is_ok();
    if let Ok(talked) = talked {
        talked?;
    }
    let report = Report::new(args, mission, &observed, begun.elapsed(), in_time);
    report.show(args.json.json)?;
    Ok(match (report.passed(), in_time) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => TIMED_OUT,
    })
}

/// The backend's own words say what is missing.
async fn require_ready(client: &Client, backend: &str) -> Result<(), ApiError> {
    let all = client.backends().await?;
    match all.into_iter().find(|status| status.backend == backend) {
        Some(status) if !status.ready => Err(ApiError::new(ErrorCode::BackendNotReady, status.reason)
            .field("backend")
            .hint("see `sandboxed-sh backend list`")),
        _ => Ok(()),
    }
}
