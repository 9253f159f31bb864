//! `cleanup`: what is over and how much it takes, by default only told.

use sandboxed_domain::api::{ApiError, CleanupEntry, CleanupParams, CleanupResponse};

use super::args::CleanupArgs;
use super::run::Outcome;
use super::workspace::size;
use super::{daemon, out};

/// `cleanup`.
pub(super) async fn run(args: CleanupArgs) -> Outcome {
    let CleanupArgs { apply, completed_days, failed_days, json } = args;
    let params = CleanupParams { apply, completed_days, failed_days };
    let answer = daemon::connect().await?.cleanup(&params).await?;
    if json.json {
        out::json(&answer)?
    } else {
        show(&answer)?
    }
    Ok(0)
}

fn show(answer: &CleanupResponse) -> Result<(), ApiError> {
    let heading = ["MISSION", "STATUS", "SIZE", "TITLE", "KEPT"].map(str::to_owned).to_vec();
    let row = |entry: &CleanupEntry| {
        vec![
            entry.mission_id.to_string(),
            entry.status.as_str().to_owned(),
            size(entry.bytes),
            entry.title.clone(),
            entry.kept.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let rows: Vec<_> =
        std::iter::once(heading).chain(answer.removed.iter().chain(&answer.kept).map(row)).collect();
    out::raw(&out::table(&rows))?;
    let (count, bytes) = (answer.removed.len(), size(answer.bytes));
    out::say(&match answer.applied {
        true => format!("{count} missions removed, {bytes}"),
        false => format!("{count} missions would go, {bytes}; --apply removes them"),
    });
    Ok(())
}
