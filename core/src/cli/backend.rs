//! `backend list`.

use sandboxed_domain::api::BackendStatus;

use super::args::BackendVerb;
use super::run::Outcome;
use super::{daemon, out};

/// `backend` and its verb.
pub(super) async fn run(verb: BackendVerb) -> Outcome {
    let BackendVerb::List { json } = verb;
    let backends = daemon::connect().await?.backends().await?;
    if json.json {
        out::json(&backends)?;
    } else {
        out::raw(&out::table(&rows(&backends)))?;
    }
    Ok(0)
}

fn rows(backends: &[BackendStatus]) -> Vec<Vec<String>> {
    let heading = ["BACKEND", "READY", "VERSION", "MODEL", "REASON"].map(str::to_owned).to_vec();
    let row = |b: &BackendStatus| {
        let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let ready = if b.ready { "yes" } else { "no" };
        vec![
            b.backend.clone(),
            ready.to_owned(),
            dash(&b.version),
            dash(&b.default_model),
            out::one_line(&b.reason, 200),
        ]
    };
    std::iter::once(heading).chain(backends.iter().map(row)).collect()
}
