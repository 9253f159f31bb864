//! `mission` and its verbs: one call of the daemon each.

use std::io::Read;

use futures::{Stream, StreamExt};
use sandboxed_client::{Client, Frame};
use sandboxed_domain::api::{
    ApiError, CreateMissionParams, Event, EventBody, EventsParams, ListMissionsParams, McpServerView,
    MessageParams, MissionView, PermissionMode, RequestView, ResumeMissionParams,
};
use serde_json::Value;

use super::args::{MissionCreateArgs, MissionEventsArgs, MissionListArgs, MissionVerb};
use super::out::Format;
use super::run::Outcome;
use super::{daemon, out};

/// Events asked for at once.
const PAGE: u32 = 1000;
/// Characters of one event's text shown to people.
const SHOWN: usize = 300;

/// Runs the verb.
pub(super) async fn run(verb: MissionVerb) -> Outcome {
    // Stdin is read before the daemon is started for nothing.
    let verb = with_stdin(verb)?;
    let client = daemon::connect().await?;
    match verb {
        MissionVerb::Create(args) => create(&client, args).await?,
        MissionVerb::List(args) => list(&client, args).await?,
        MissionVerb::Show { id, json } => show(&client.mission(id).await?, Format::json(json.json))?,
        MissionVerb::Events(args) => events(&client, args).await?,
        MissionVerb::Send { id, message, into_running_turn } => {
            let params = MessageParams { content: message, mission_id: Some(id), into_running_turn };
            let answer = client.message(&params).await?;
            out::say(match (answer.queued, answer.into_running_turn) {
                (true, _) => "queued behind the running turn",
                (false, true) => "goes into the running turn",
                (false, false) => "delivered",
            });
        }
        MissionVerb::Cancel { id } => cancelled(&client.cancel_mission(id).await?),
        MissionVerb::Resume { id, message } => {
            said(&client.resume_mission(id, &ResumeMissionParams { content: message }).await?);
        }
        MissionVerb::Delete { id } => {
            client.delete_mission(id).await?;
            out::say(&format!("mission {id} deleted"));
        }
        MissionVerb::Requests { json } => requests(&client.requests().await?, Format::json(json.json))?,
        MissionVerb::Answer { request, decision, answer } => {
            client.answer_request(&request, decision.map(Into::into), answer).await?;
            out::say("answered");
        }
    }
    Ok(0)
}

fn with_stdin(mut verb: MissionVerb) -> Result<MissionVerb, ApiError> {
    let text = match &mut verb {
        MissionVerb::Create(args) => args.prompt.as_mut(),
        MissionVerb::Send { message, .. } => Some(message),
        MissionVerb::Resume { message, .. } => message.as_mut(),
        MissionVerb::Answer { answer, .. } => answer.as_mut(),
        _ => None,
    };
    if let Some(text) = text.filter(|text| *text == "-") {
        text.clear();
        std::io::stdin()
            .lock()
            .read_to_string(text)
            .map_err(|e| ApiError::invalid("-", format!("stdin: {e}")))?;
    }
    Ok(verb)
}

/// It ends when what it runs has ended.
fn cancelled(view: &MissionView) {
    match view.status.is_ended() {
        true => said(view),
        false => out::say(&format!(
            "mission {} is being cancelled; it is {} until what it runs has ended",
            view.id,
            view.status.as_str()
        )),
    }
}

fn said(view: &MissionView) {
    out::say(&format!("mission {} is {}", view.id, view.status.as_str()));
}

async fn create(client: &Client, args: MissionCreateArgs) -> Result<(), ApiError> {
    let params = CreateMissionParams {
        title: args.title,
        prompt: args.prompt,
        backend: args.backend,
        model_override: args.model,
        model_effort: args.effort,
        permission_mode: args.permission_mode.map(Into::into),
        workspace_id: args.workspace,
        working_directory: args.working_directory,
        config_profile: args.profile,
        agent: args.agent,
        mcps: args.mcps,
        ..CreateMissionParams::default()
    };
    let view = client.create_mission(&params).await?;
    if let Some(warning) = &view.warning {
        out::say(&format!("warning: {warning}"));
    }
    match Format::json(args.json.json) {
        Format::Json => out::json(&view),
        Format::Text => out::line(&view.id.to_string()),
    }
}

async fn list(client: &Client, args: MissionListArgs) -> Result<(), ApiError> {
    let params = ListMissionsParams {
        limit: Some(args.limit),
        cursor: args.cursor,
        status: args.status,
        parent: args.parent,
        workspace: args.workspace,
    };
    let page = client.list_missions(&params).await?;
    if args.json.json {
        return out::json(&page);
    }
    out::raw(&out::table(&rows(&page.missions)))?;
    if let Some(cursor) = page.next_cursor {
        out::say(&format!("there are more: --cursor {cursor}"));
    }
    Ok(())
}

/// `failed/verification_failed`, or the status alone.
fn state(view: &MissionView) -> String {
    match view.terminal_reason {
        Some(reason) => format!("{}/{}", view.status.as_str(), reason.as_str()),
        None => view.status.as_str().to_owned(),
    }
}

fn rows(missions: &[MissionView]) -> Vec<Vec<String>> {
    let heading = ["ID", "STATUS", "BACKEND", "TURNS", "UPDATED", "TITLE"].map(str::to_owned).to_vec();
    let row = |view: &MissionView| {
        vec![
            view.id.to_string(),
            state(view),
            view.backend.clone(),
            view.turns.to_string(),
            view.updated_at.format("%F %T").to_string(),
            out::one_line(&view.title, 60),
        ]
    };
    std::iter::once(heading).chain(missions.iter().map(row)).collect()
}

fn show(view: &MissionView, format: Format) -> Result<(), ApiError> {
    if format == Format::Json {
        return out::json(view);
    }
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let time = |at: &chrono::DateTime<chrono::Utc>| at.format("%F %T UTC").to_string();
    let rows = [
        ("id", view.id.to_string()),
        ("title", out::one_line(&view.title, 200)),
        ("status", state(view)),
        ("backend", view.backend.clone()),
        ("model", dash(&view.model_override)),
        ("permissions", view.permission_mode.map_or("-", PermissionMode::as_str).to_owned()),
        ("boss", dash(&view.boss)),
        ("task key", dash(&view.task_key)),
        ("workspace", view.workspace_id.to_string()),
        ("directory", dash(&view.working_directory)),
        ("profile", dash(&view.config_profile)),
        ("agent", dash(&view.agent)),
        ("turns", view.turns.to_string()),
        ("created", time(&view.created_at)),
        ("parked until", view.parked_until.as_ref().map_or_else(|| "-".to_owned(), time)),
        ("ended", view.ended_at.as_ref().map_or_else(|| "-".to_owned(), time)),
    ];
    let server = |server: &McpServerView| {
        let detail = server.detail.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let state = format!("{} {}{detail}", server.name, server.state.as_str());
        vec!["mcp".to_owned(), out::one_line(&state, 200)]
    };
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]).into_iter();
    out::raw(&out::table(&rows.chain(view.mcp_servers.iter().map(server)).collect::<Vec<_>>()))
}

/// What waits for an answer. The whole of it (a command, a plan) is in the JSON.
fn requests(views: &[RequestView], format: Format) -> Result<(), ApiError> {
    if format == Format::Json {
        return out::json(&views);
    }
    let heading = ["REQUEST", "MISSION", "KIND", "TITLE", "OPTIONS"].map(str::to_owned).to_vec();
    let row = |view: &RequestView| {
        vec![
            view.request_id.clone(),
            view.mission_id.to_string(),
            view.kind.clone(),
            out::one_line(&view.title, 80),
            out::one_line(&view.options.join(", "), 80),
        ]
    };
    out::raw(&out::table(&std::iter::once(heading).chain(views.iter().map(row)).collect::<Vec<_>>()))
}

async fn events(client: &Client, args: MissionEventsArgs) -> Result<(), ApiError> {
    if args.follow {
        return follow(client.clone(), &args).await;
    }
    pages(client, &args, args.since.unwrap_or(0)).await.map(drop)
}

/// Shows what is stored after `since`; returns the last sequence seen.
async fn pages(client: &Client, args: &MissionEventsArgs, mut since: i64) -> Result<i64, ApiError> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let params = EventsParams {
            limit: Some(u32::try_from(left).unwrap_or(PAGE).min(PAGE)),
            since_seq: Some(since),
            types: args.types.clone(),
            ..EventsParams::default()
        };
        let page = client.events(args.id, &params).await?;
        for event in &page.events {
            show_event(event, Format::json(args.json.json))?;
            since = event.sequence;
        }
        left = left.saturating_sub(page.events.len() as u64);
        match page.next_since_seq {
            Some(next) => since = next,
            None => break,
        }
    }
    Ok(since)
}

/// What is stored, then what happens, until the mission has ended and all of it is shown. A daemon that is replaced
/// meanwhile is asked again from the last event seen.
async fn follow(mut client: Client, args: &MissionEventsArgs) -> Result<(), ApiError> {
    let mut last = args.since.unwrap_or(0);
    loop {
        let ended = client.mission(args.id).await?.status.is_ended();
        last = pages(&client, args, last).await?;
        if ended {
            return Ok(());
        }
        let frames = client.stream(Some(args.id), Some(last)).await?;
        if live(frames, args, &mut last).await?.is_some() {
            client = daemon::connect().await?;
        }
    }
}

/// Shows events until one says that the mission has ended, or until the stream breaks.
async fn live(
    frames: impl Stream<Item = Result<Frame, ApiError>>,
    args: &MissionEventsArgs,
    last: &mut i64,
) -> Result<Option<ApiError>, ApiError> {
    let mut frames = std::pin::pin!(frames);
    let format = Format::json(args.json.json);
    while let Some(frame) = frames.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Ok(Some(error)),
        };
        // Only stored events have an id; the first frame tells the daemon's own state.
        let Some(id) = frame.id else { continue };
        *last = id;
        match (frame.event(), format) {
            (Some(event), format) => {
                show_event(&event, format)?;
                if ends(&event) {
                    return Ok(None);
                }
            }
            (None, Format::Json) => out::json_line(&frame.data)?,
            (None, Format::Text) => out::line(&format!("{id:>6}  {}", frame.event))?,
        }
    }
    Ok(None)
}

fn ends(event: &Event) -> bool {
    matches!(&event.body, EventBody::MissionStatusChanged { status, .. } if status.is_ended())
}

fn show_event(event: &Event, format: Format) -> Result<(), ApiError> {
    if format == Format::Json {
        return out::json_line(event);
    }
    let time = event.timestamp.format("%T");
    let kind = event.body.type_name();
    out::line(format!("{:>6}  {time}  {kind:<22}  {}", event.sequence, text(&event.body)).trim_end())
}

/// An event in a line of words.
fn text(body: &EventBody) -> String {
    let short = |text: &str| out::one_line(text, SHOWN);
    let json = |value: &Value| out::one_line(&value.to_string(), SHOWN);
    match body {
        EventBody::Status { state, .. } => short(state),
        EventBody::UserMessage { content, .. }
        | EventBody::Thinking { content, .. }
        | EventBody::TextDelta { content }
        | EventBody::AssistantMessage { content, .. } => short(content),
        EventBody::ToolCall { name, args, .. } => format!("{name} {}", json(args)),
        EventBody::ToolResult { name, result, is_error, .. } => {
            format!("{name}{} {}", if *is_error { " failed:" } else { "" }, json(result))
        }
        EventBody::Error { code, message } => format!("{code}: {}", short(message)),
        EventBody::MissionStatusChanged { status, terminal_reason } => match terminal_reason {
            Some(reason) => format!("{} ({})", status.as_str(), reason.as_str()),
            None => status.as_str().to_owned(),
        },
        EventBody::Parked { until, .. } => format!("until {}", until.format("%F %T UTC")),
        EventBody::Credential { label, limited_until } => match limited_until {
            Some(until) => format!("{label} is limited until {}", until.format("%F %T UTC")),
            None => label.clone(),
        },
        EventBody::RequestOpened { request_id, title, .. } => format!("{request_id} {}", short(title)),
        EventBody::RequestAnswered { request_id, decision, .. } => format!("{request_id} {decision}"),
        EventBody::Usage(usage) => format!("{} in, {} out", usage.input_tokens, usage.output_tokens),
        EventBody::McpServer { name, state, detail } => {
            format!("{name} {} {}", state.as_str(), short(detail.as_deref().unwrap_or_default()))
        }
        EventBody::Goal { status, objective, iterations, .. } => {
            format!("{status} after {iterations} turns: {}", short(objective))
        }
        EventBody::OutcomeReported { outcome, summary, .. } => format!("{outcome}: {}", short(summary)),
        EventBody::StorageWarning { folder, percent, used_bytes, quota_bytes } => {
            format!("{} is at {percent} %: {used_bytes} of {quota_bytes} bytes", folder.as_str())
        }
        EventBody::OutputElided { stored_bytes, log_path } => {
            format!("after {stored_bytes} bytes; the rest is in {log_path}")
        }
        EventBody::HarnessRaw { raw } => json(raw),
    }
}
