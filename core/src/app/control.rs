//! The admin door's missions: created, listed, talked to, ended, deleted by people and scripts.

use sandboxed_domain::api::{
    ApiError, CreateMissionParams, ErrorCode, EventBody, EventPage, EventsParams, ListMissionsParams,
    MessageParams, MessageResponse, MissionPage, MissionView, ProgressView, QueuedMessage,
    ResumeMissionParams,
};
use sandboxed_domain::harness;
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_domain::policy::{self, Destination};
use uuid::Uuid;

use super::App;
use super::caller::mission_boss;
use super::models::choose;
use crate::store::{self, EventQuery, MissionQuery, MissionRow, WorkspaceSpec};

/// Workspace of a mission that names none.
const DEFAULT_WORKSPACE: &str = "default";
/// Setting that remembers the mission of messages without an id.
const LOADED: &str = "loaded_mission";

impl App {
    /// Creates a mission; with a prompt it starts as soon as there is a slot.
    ///
    /// # Errors
    /// A field that cannot be used, by name.
    pub async fn create_mission(&self, params: CreateMissionParams) -> Result<MissionView, ApiError> {
        if let Some(prompt) = &params.prompt {
            policy::message("prompt", prompt)?;
        }
        let (row, warning) = self.new_mission(&params).await?;
        let (view, id) = (MissionView { warning, ..row.view() }, row.id);
        self.store
            .write(move |tx| {
                store::save_mission(tx, &row)?;
                let body = EventBody::MissionStatusChanged { status: row.status, terminal_reason: None };
                store::append_event(tx, id, &body)?;
                if let Some(content) = params.prompt {
                    super::workers::enqueue_prompt(tx, id, content)?;
                }
                store::set_setting(tx, LOADED, &id.to_string())
            })
            .await?;
        self.missions.granted();
        Ok(view)
    }

    /// Its row, and a warning about its model.
    async fn new_mission(
        &self,
        params: &CreateMissionParams,
    ) -> Result<(MissionRow, Option<String>), ApiError> {
        let harness = match (&params.backend, harness::registry().first()) {
            (Some(id), _) => harness::find(id)?,
            (None, Some(first)) => *first,
            (None, None) => {
                return Err(
                    ApiError::new(ErrorCode::UnknownBackend, "no backend is built in").field("backend")
                );
            }
        };
        let effort =
            params.model_effort.as_deref().map(|text| policy::effort("model_effort", text)).transpose()?;
        let chosen = choose(self.missions.settings(), harness, params.model_override.as_deref(), effort)
            .map_err(in_this_api)?;
        self.require_ready(harness).await?;
        let workspace = match params.workspace_id.as_deref() {
            Some(id) => self.workspace(id).await?,
            None => self.default_workspace().await?,
        };
        let from_prompt = || params.prompt.as_deref().map(|prompt| crate::mission::one_line(prompt, 80));
        let title = params.title.clone().or_else(from_prompt).unwrap_or_else(|| "mission".to_owned());
        let mut row = MissionRow::new(title, harness.id().to_owned(), workspace.id);
        row.model = chosen.model;
        row.effort = chosen.effort.map(|effort| effort.as_str().to_owned());
        let mode = policy::permission_mode(harness, workspace.kind, params.permission_mode, None)?;
        row.spec.permission_mode = Some(mode);
        row.spec.config_profile.clone_from(&params.config_profile);
        row.spec.agent.clone_from(&params.agent);
        row.spec.mcps.clone_from(&params.mcps);
        self.check_supplies(&row).await?;
        if let Some(directory) = &params.working_directory {
            row.working_directory = Some(self.inside(&workspace, directory, "working_directory").await?);
        }
        if let Some(parent) = params.parent_mission_id {
            let found = self.store.read(move |c| store::get_mission(c, parent)).await;
            found.map_err(|error| ApiError::from(error).field("parent_mission_id"))?;
            row.parent = Some(parent);
            row.boss = Some(mission_boss(parent));
        }
        if params.prompt.is_none() {
            row.status = MissionStatus::Waiting;
        }
        Ok((row, chosen.warning))
    }

    async fn default_workspace(&self) -> Result<store::WorkspaceRow, ApiError> {
        match self.workspace(DEFAULT_WORKSPACE).await {
            Err(error) if error.code == ErrorCode::UnknownWorkspace => {
                self.workspaces.create(DEFAULT_WORKSPACE, WorkspaceSpec::default(), None).await
            }
            found => found,
        }
    }

    /// A page of missions, newest first.
    ///
    /// # Errors
    /// A limit or status that is none.
    pub async fn list_missions(&self, params: ListMissionsParams) -> Result<MissionPage, ApiError> {
        let limit = bounded("limit", params.limit, 50, 200)?;
        let query = MissionQuery {
            parent: params.parent,
            workspace: params.workspace,
            statuses: statuses(params.status.as_deref())?,
            cursor: params.cursor,
            limit: limit + 1,
            ..Default::default()
        };
        let mut rows = self.store.read(move |c| store::query_missions(c, &query)).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = if more { rows.last().map(store::mission_cursor) } else { None };
        Ok(MissionPage { missions: rows.iter().map(MissionRow::view).collect(), next_cursor })
    }

    /// One mission.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn mission(&self, id: Uuid) -> Result<MissionView, ApiError> {
        let found = self.store.read(move |c| Ok((store::get_mission(c, id)?, store::mcp_servers(c, id)?)));
        let (row, mcp_servers) = found.await?;
        Ok(MissionView { mcp_servers, ..row.view() })
    }

    /// A page of a mission's events.
    ///
    /// # Errors
    /// `not_found`, or a limit out of bounds.
    pub async fn events(&self, id: Uuid, params: EventsParams) -> Result<EventPage, ApiError> {
        let types = params.types.iter().flat_map(|text| text.split(',')).filter(|word| !word.is_empty());
        let query = EventQuery {
            mission: Some(id),
            since: params.since_seq.unwrap_or(0),
            offset: params.offset.unwrap_or(0),
            limit: bounded("limit", params.limit, 100, 1000)?,
            types: types.map(str::to_owned).collect(),
        };
        let page = self.store.read(move |c| {
            store::get_mission(c, id)?;
            store::event_page(c, &query)
        });
        Ok(page.await?)
    }

    /// Ends a mission by a person's wish.
    ///
    /// # Errors
    /// `not_found`, or it has ended.
    pub async fn cancel_mission(&self, id: Uuid) -> Result<MissionView, ApiError> {
        if !self.cancel(id, TerminalReason::CancelledByUser).await? {
            return Err(ApiError::new(ErrorCode::WrongState, format!("mission {id} has ended"))
                .field("mission_id")
                .hint("it can be resumed or deleted"));
        }
        self.mission(id).await
    }

    /// An ended mission goes on.
    ///
    /// # Errors
    /// `not_found`, or still at work.
    pub async fn resume_mission(
        &self,
        id: Uuid,
        params: ResumeMissionParams,
    ) -> Result<MissionView, ApiError> {
        let content = params.content.unwrap_or_else(|| "Continue where you left off.".to_owned());
        policy::message("content", &content)?;
        Ok(self.resume(id, content).await?.view())
    }

    /// Messages without an id go to this mission from now on.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn load_mission(&self, id: Uuid) -> Result<MissionView, ApiError> {
        let row = self.store.write(move |tx| {
            let row = store::get_mission(tx, id)?;
            store::set_setting(tx, LOADED, &id.to_string())?;
            Ok(row)
        });
        Ok(row.await?.view())
    }

    /// A message for a mission: the next turn, now or when the running one is over.
    ///
    /// # Errors
    /// No mission is meant, or it has ended.
    pub async fn message(&self, params: MessageParams) -> Result<MessageResponse, ApiError> {
        policy::message("content", &params.content)?;
        let mission_id = match params.mission_id {
            Some(id) => id,
            None => self.loaded().await?,
        };
        let row = self.store.read(move |c| store::get_mission(c, mission_id)).await?;
        let destination = Destination::of(params.into_running_turn);
        let queued = destination == Destination::NextTurn;
        if row.status == MissionStatus::Waiting && queued {
            let (_, id) = self.resume_with(mission_id, params.content).await?;
            return Ok(MessageResponse { id, queued: false, mission_id, into_running_turn: false });
        }
        let (id, _) = self
            .enqueue(mission_id, params.content, destination)
            .await
            .map_err(|error| if error.field.is_some() { error } else { error.field("mission_id") })?;
        Ok(MessageResponse { id, queued, mission_id, into_running_turn: !queued })
    }

    async fn loaded(&self) -> Result<Uuid, ApiError> {
        let found = self.store.read(|c| store::setting(c, LOADED)).await?;
        found.and_then(|text| text.parse().ok()).ok_or_else(|| {
            ApiError::invalid("mission_id", "no mission was created or loaded yet").hint("name one")
        })
    }

    /// Missions at work: those that hold a slot, or also those that wait for one or for a time.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn progress(&self, waiting_too: bool) -> Result<Vec<ProgressView>, ApiError> {
        let statuses =
            MissionStatus::ALL.into_iter().filter(|s| s.holds_slot() || (waiting_too && waits(*s))).collect();
        let query = MissionQuery { statuses, oldest_first: true, limit: 200, ..Default::default() };
        let rows = self.store.read(move |c| store::query_missions(c, &query)).await?;
        let view = |row: &MissionRow| {
            let worker = super::wait::running_worker(row);
            ProgressView {
                mission_id: row.id,
                title: row.title.clone(),
                status: row.status,
                seconds: worker.seconds,
                last_activity: worker.last_activity,
                parked_until: worker.parked_until,
            }
        };
        Ok(rows.iter().map(view).collect())
    }

    /// Messages that wait for their turn.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn queue(&self) -> Result<Vec<QueuedMessage>, ApiError> {
        Ok(self.store.read(store::queued_messages).await?)
    }

    /// Takes a waiting message back.
    ///
    /// # Errors
    /// It is not waiting.
    pub async fn delete_queued(&self, id: String) -> Result<(), ApiError> {
        let wanted = id.clone();
        if self.store.write(move |tx| store::remove_queued(tx, &wanted)).await? {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::NotFound, format!("no waiting message {id:?}")).field("id").hint(
            "GET /api/control/queue lists those that wait; one that was delivered cannot be taken back",
        ))
    }
}

/// Model and effort are called otherwise here.
fn in_this_api(error: ApiError) -> ApiError {
    match error.field.as_deref() {
        Some("model") => error.field("model_override"),
        Some("effort") => error.field("model_effort"),
        _ => error,
    }
}

fn waits(status: MissionStatus) -> bool {
    matches!(status, MissionStatus::Pending | MissionStatus::RateLimited)
}

fn bounded(field: &str, given: Option<u32>, default: u32, most: u32) -> Result<u32, ApiError> {
    match given {
        None => Ok(default),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(n) => {
            Err(ApiError::invalid(field, format!("{n} is out of bounds")).hint(format!("1 to {most}")))
        }
    }
}

fn statuses(text: Option<&str>) -> Result<Vec<MissionStatus>, ApiError> {
    let words = text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            MissionStatus::parse(word).ok_or_else(|| {
                let known: Vec<_> = MissionStatus::ALL.iter().map(|s| s.as_str()).collect();
                ApiError::invalid("status", format!("{word:?} is not a status")).hint(known.join(", "))
            })
        })
        .collect()
}
