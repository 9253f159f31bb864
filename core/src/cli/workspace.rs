//! `workspace` and its verbs: one call of the daemon each.

use std::path::absolute;

use sandboxed_domain::api::{
    ApiError, ApplyParams, BuildState, CreateWorkspaceParams, ExecParams, ExecResponse, LayerChange,
    LayerChangeKind, Limits, NetworkMode, SandboxState, WorkspaceKind, WorkspaceUsage, WorkspaceView,
    WorkspaceWarning,
};

use super::args::{NetworkArg, WorkspaceCreateArgs, WorkspaceExecArgs, WorkspaceVerb};
use super::out::Format;
use super::run::Outcome;
use super::{daemon, destroy, image, out, shell};

/// Exit status when a program inside took too long.
const TIMED_OUT: u8 = 5;

/// Runs the verb.
pub(super) async fn run(verb: WorkspaceVerb) -> Outcome {
    let verb = match verb {
        WorkspaceVerb::Exec(args) => return exec(args).await,
        WorkspaceVerb::Shell(args) => return shell::run(args).await,
        other => other,
    };
    let create = match &verb {
        WorkspaceVerb::Create(args) => Some(params(args)?),
        _ => None,
    };
    let client = daemon::connect().await?;
    match verb {
        WorkspaceVerb::Create(args) => {
            let view = client.create_workspace(&create.unwrap_or_default()).await?;
            show(&view, Format::json(args.json.json))?;
        }
        WorkspaceVerb::List { json } => {
            let views = client.list_workspaces().await?;
            match Format::json(json.json) {
                Format::Json => out::json(&views)?,
                Format::Text => out::raw(&out::table(&rows(&views)))?,
            }
        }
        WorkspaceVerb::Show { workspace, json } => {
            show(&client.workspace(&workspace).await?, Format::json(json.json))?;
        }
        WorkspaceVerb::Build { workspace } => {
            said("built", &image::build(&client, &workspace).await?);
        }
        WorkspaceVerb::Start { workspace } => {
            image::ensure(&client, &workspace).await?;
            said("started", &client.start_workspace(&workspace).await?);
        }
        WorkspaceVerb::Stop { workspace } => said("stopped", &client.stop_workspace(&workspace).await?),
        WorkspaceVerb::Destroy { workspace, yes } => destroy::run(&client, &workspace, yes).await?,
        WorkspaceVerb::Diff { workspace, json } => {
            let diff = client.workspace_diff(&workspace).await?;
            match Format::json(json.json) {
                Format::Json => out::json(&diff)?,
                Format::Text => out::raw(&changes(&diff.changes))?,
            }
            if diff.total > diff.changes.len() as u64 {
                out::say(&format!("and {} more", diff.total - diff.changes.len() as u64));
            }
        }
        WorkspaceVerb::Apply(args) => {
            let params = ApplyParams { paths: args.paths, force: args.force };
            let done = client.apply_workspace(&args.workspace, &params).await?;
            match Format::json(args.json.json) {
                Format::Json => out::json(&done)?,
                Format::Text => out::raw(&changes(&done.applied))?,
            }
        }
        WorkspaceVerb::Exec(_) | WorkspaceVerb::Shell(_) => {}
    }
    Ok(0)
}

fn params(args: &WorkspaceCreateArgs) -> Result<CreateWorkspaceParams, ApiError> {
    let bind = |path: &std::path::PathBuf| {
        let path =
            absolute(path).map_err(|e| ApiError::invalid("--bind", format!("{}: {e}", path.display())))?;
        path.to_str().map(str::to_owned).ok_or_else(|| ApiError::invalid("--bind", "the path is not UTF-8"))
    };
    Ok(CreateWorkspaceParams {
        name: args.name.clone(),
        binds: args.binds.iter().map(bind).collect::<Result<_, _>>()?,
        template: args.template.clone(),
        network: args.network.map(|network| match network {
            NetworkArg::Host => NetworkMode::Host,
            NetworkArg::None => NetworkMode::None,
            NetworkArg::Nat => NetworkMode::Nat,
            NetworkArg::Allowlist => NetworkMode::Allowlist,
        }),
        allow_hosts: args.allow_hosts.clone(),
        limits: Limits {
            memory_bytes: args.memory_bytes,
            cpu_millis: args.cpu_millis,
            pids: args.pids,
            disk_bytes: args.disk_bytes,
        },
    })
}

async fn exec(args: WorkspaceExecArgs) -> Outcome {
    let client = daemon::connect().await?;
    image::ensure_quietly(&client, &args.workspace).await?;
    let params = ExecParams { argv: args.argv, cwd: args.cwd, timeout_seconds: Some(args.timeout) };
    let answer = client.exec(&args.workspace, &params).await?;
    if args.json.json {
        out::json(&answer)?;
    } else {
        out::raw(&answer.stdout)?;
        out::say_raw(&answer.stderr);
        if let Some(reason) = &answer.reason {
            out::say(&format!("ended: {reason}"));
        }
    }
    Ok(exit_status(&answer))
}

/// One line each, as `git status --short` has them.
fn changes(all: &[LayerChange]) -> String {
    let line = |change: &LayerChange| {
        let letter = match change.kind {
            LayerChangeKind::Added => 'A',
            LayerChangeKind::Changed => 'M',
            LayerChangeKind::Removed => 'D',
        };
        let slash = if change.directory { "/" } else { "" };
        let both = if change.conflict { "  (changed in the workspace as well)" } else { "" };
        format!("{letter} {}{slash}{both}\n", out::one_line(&change.path, 4096))
    };
    all.iter().map(line).collect()
}

/// The program's own status; as shells do, 128 and the signal's number for one that was killed.
fn exit_status(answer: &ExecResponse) -> u8 {
    if answer.reason.as_deref() == Some("timed_out") {
        return TIMED_OUT;
    }
    let status = answer.exit_code.or_else(|| answer.signal.map(|signal| 128 + signal));
    status.and_then(|status| u8::try_from(status).ok()).unwrap_or(1)
}

fn said(word: &str, view: &WorkspaceView) {
    out::say(&format!("workspace {} {word}", view.name));
    for warning in &view.warnings {
        out::say(&format!("warning: {}", told(warning)));
    }
}

fn told(warning: &WorkspaceWarning) -> String {
    format!("{} ({})", warning.message, warning.code.as_str())
}

fn state(view: &WorkspaceView) -> &'static str {
    match view.state {
        SandboxState::Stopped => "stopped",
        SandboxState::Ready => "ready",
        SandboxState::Busy => "busy",
        SandboxState::Error => "error",
    }
}

fn kind(view: &WorkspaceView) -> &'static str {
    match view.kind {
        WorkspaceKind::Host => "host",
        WorkspaceKind::Container => "container",
    }
}

fn dash() -> String {
    "-".to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

fn disk(view: &WorkspaceView) -> String {
    let used = view.disk_bytes.map_or_else(dash, size);
    view.limits.disk_bytes.map_or_else(|| used.clone(), |most| format!("{used} of {}", size(most)))
}

/// Those of each run, where they are not the platform's own.
fn limits(limits: &Limits) -> String {
    let memory = limits.memory_bytes.filter(|most| *most > 0).map(|most| format!("{} of memory", size(most)));
    let cpu = limits.cpu_millis.filter(|most| *most > 0);
    let cpu = cpu.map(|most| format!("{}.{:03} of a core", most / 1000, most % 1000));
    let pids = limits.pids.filter(|most| *most > 0).map(|most| format!("{most} processes"));
    let all: Vec<_> = [memory, cpu, pids].into_iter().flatten().collect();
    if all.is_empty() { dash() } else { format!("{} for each run", all.join(", ")) }
}

fn network(view: &WorkspaceView) -> String {
    let word = serde_json::to_value(view.network).ok().and_then(|word| Some(word.as_str()?.to_owned()));
    [word.unwrap_or_default(), view.allow_hosts.join(" ")].join(" ").trim_end().to_owned()
}

fn rows(views: &[WorkspaceView]) -> Vec<Vec<String>> {
    let heading =
        ["NAME", "ID", "KIND", "STATE", "MEMORY", "CPU", "DISK", "BINDS"].map(str::to_owned).to_vec();
    let row = |view: &WorkspaceView| {
        vec![
            view.name.clone(),
            view.id.to_string(),
            kind(view).to_owned(),
            state(view).to_owned(),
            view.usage.map_or_else(dash, |usage| size(usage.memory_bytes)),
            view.usage.map_or_else(dash, |usage| seconds(usage.cpu_ms)),
            view.disk_bytes.map_or_else(dash, size),
            view.binds.join(" "),
        ]
    };
    std::iter::once(heading).chain(views.iter().map(row)).collect()
}

fn show(view: &WorkspaceView, format: Format) -> Result<(), ApiError> {
    if format == Format::Json {
        return out::json(view);
    }
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let used = |show: fn(&WorkspaceUsage) -> String| view.usage.as_ref().map_or_else(dash, show);
    let memory = |used: &WorkspaceUsage| {
        format!("{}, {} at its peak", size(used.memory_bytes), size(used.memory_peak_bytes))
    };
    let fill = view.inbox_use;
    let rows = [
        ("name", view.name.clone()),
        ("id", view.id.to_string()),
        ("kind", kind(view).to_owned()),
        ("state", state(view).to_owned()),
        ("detail", or_dash(view.detail.as_deref())),
        ("root", view.root.clone()),
        ("template", or_dash(view.template.as_deref())),
        ("image", or_dash(view.image.as_deref())),
        ("network", network(view)),
        ("memory", used(memory)),
        ("cpu", used(|used| seconds(used.cpu_ms))),
        ("processes", used(|used| used.pids.to_string())),
        ("limits", limits(&view.limits)),
        ("disk", disk(view)),
        ("inbox", format!("{}, {} of {}", view.inbox, size(fill.used_bytes), size(fill.quota_bytes))),
        ("binds", view.binds.join(" ")),
    ];
    let warnings = view.warnings.iter().map(|warning| ("warning", told(warning)));
    let rows: Vec<_> = rows.into_iter().chain(warnings).chain(build_rows(view)).collect();
    out::raw(&out::table(
        &rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>(),
    ))?;
    match view.build.as_ref().and_then(|build| build.log_tail.as_deref()) {
        Some(tail) => out::raw(&format!("\n{}\n", tail.trim_end())),
        None => Ok(()),
    }
}

/// The build that is under way, or that failed.
fn build_rows(view: &WorkspaceView) -> Vec<(&'static str, String)> {
    let Some(build) = &view.build else { return Vec::new() };
    let how = match (build.state, &build.progress) {
        (BuildState::Building, Some(step)) => format!("{} %, {}", step.percent, step.line()),
        (BuildState::Building, None) => "under way".to_owned(),
        (BuildState::Failed, _) => {
            let when = build.failed_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
            format!("failed {}", when.unwrap_or_default())
        }
    };
    vec![
        ("build", how),
        ("build image", build.image.clone().unwrap_or_else(dash)),
        ("build log", build.log.clone().unwrap_or_else(dash)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_the_programs_own() {
        let ended = |exit_code, signal, reason: Option<&str>| ExecResponse {
            exit_code,
            signal,
            reason: reason.map(str::to_owned),
            stdout: String::new(),
            stderr: String::new(),
            milliseconds: 1,
        };
        for (answer, status) in [
            (ended(Some(0), None, None), 0),
            (ended(Some(42), None, None), 42),
            (ended(None, Some(9), Some("out_of_memory")), 137),
            (ended(None, Some(9), Some("timed_out")), 5),
            (ended(None, None, Some("runner_lost")), 1),
        ] {
            assert_eq!(exit_status(&answer), status, "{answer:?}");
        }
    }
}
