//! `backend list` and `backend install`.

use sandboxed_client::Settings;
use sandboxed_domain::api::{ApiError, BackendStatus};
use sandboxed_domain::harness::{Harness, find, registry};

use super::args::{BackendVerb, JsonArg};
use super::run::Outcome;
use super::{daemon, out};
use crate::harness::Programs;

/// `backend` and its verb.
pub(super) async fn run(verb: BackendVerb) -> Outcome {
    match verb {
        BackendVerb::List { json } => list(json).await,
        BackendVerb::Install { backends, all } => install(&chosen(&backends, all)?).await,
    }
}

async fn list(json: JsonArg) -> Outcome {
    let backends = daemon::connect().await?.backends().await?;
    if json.json {
        out::json(&backends)?;
    } else {
        out::raw(&out::table(&rows(&backends)))?;
    }
    Ok(0)
}

fn rows(backends: &[BackendStatus]) -> Vec<Vec<String>> {
    let heading = ["BACKEND", "READY", "VERSION", "MODEL", "PROGRAM", "REASON"].map(str::to_owned).to_vec();
    let row = |b: &BackendStatus| {
        let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let ready = if b.ready { "yes" } else { "no" };
        vec![
            b.backend.clone(),
            ready.to_owned(),
            dash(&b.version),
            dash(&b.default_model),
            dash(&b.program),
            out::one_line(&b.reason, 200),
        ]
    };
    std::iter::once(heading).chain(backends.iter().map(row)).collect()
}

fn chosen(ids: &[String], all: bool) -> Result<Vec<&'static dyn Harness>, ApiError> {
    if all {
        return Ok(registry().to_vec());
    }
    ids.iter().map(|id| find(id)).collect()
}

/// Needs no daemon: whoever installs, others find it.
async fn install(harnesses: &[&'static dyn Harness]) -> Outcome {
    let programs = Programs::new(&Settings::from_env()?.data_dir);
    for harness in harnesses {
        let Some(program) = harness.program() else { continue };
        let told = |text: String| out::say(&text);
        programs.install(program, &told).await.map_err(|error| error.for_backend(*harness))?;
        let directory = programs.cache().join(program.directory());
        out::say(&format!("{} {} is in {}", harness.id(), program.version, directory.display()));
    }
    Ok(0)
}
