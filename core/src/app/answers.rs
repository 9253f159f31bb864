//! Questions, permissions and plans: listed, and answered once.

use sandboxed_domain::api::{
    AnswerWorkerParams, AnswerWorkerResponse, Answerer, ApiError, Decision, ErrorCode, EventBody,
    PermissionMode, RequestView,
};
use uuid::Uuid;

use super::App;
use super::caller::Identity;
use crate::store::{self, MissionRow, RequestRow, StoreError, Tx};

impl App {
    /// A boss answers one of its workers.
    ///
    /// # Errors
    /// Unknown, somebody else's, answered before, or not an answer to what was asked.
    pub async fn answer_worker(
        &self,
        identity: &Identity,
        params: AnswerWorkerParams,
    ) -> Result<AnswerWorkerResponse, ApiError> {
        self.give_answer(Some(Self::boss_name(identity)?), params).await
    }

    /// A person answers any mission.
    ///
    /// # Errors
    /// As [`App::answer_worker`].
    pub async fn answer_request(
        &self,
        request_id: String,
        decision: Option<Decision>,
        answer: Option<String>,
    ) -> Result<AnswerWorkerResponse, ApiError> {
        self.give_answer(None, AnswerWorkerParams { request_id, decision, answer }).await
    }

    /// Answers a request; a boss only those of its own workers.
    async fn give_answer(
        &self,
        boss: Option<String>,
        params: AnswerWorkerParams,
    ) -> Result<AnswerWorkerResponse, ApiError> {
        let mission = self.store.write(move |tx| answer(tx, boss.as_deref(), &params)).await?;
        self.missions.wake(mission);
        Ok(AnswerWorkerResponse { delivered: true })
    }

    /// All that is pending.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn requests(&self) -> Result<Vec<RequestView>, ApiError> {
        Ok(self.store.read(|c| store::open_requests(c, None)).await?)
    }
}

fn answer(tx: &mut Tx<'_>, boss: Option<&str>, params: &AnswerWorkerParams) -> Result<Uuid, StoreError> {
    let unknown = || {
        ApiError::new(ErrorCode::NotFound, format!("no request {:?}", params.request_id))
            .field("request_id")
            .hint("take it from a needs_input event of wait_for_any_worker")
    };
    let request = store::find_request(tx, &params.request_id)?.ok_or_else(unknown)?;
    let row = store::get_mission(tx, request.view.mission_id)?;
    if boss.is_some() && row.boss.as_deref() != boss {
        return Err(unknown().into());
    }
    let decision = decision(&request, params)?;
    if !store::answer_request(tx, &params.request_id, decision, params.answer.as_deref())? {
        return Err(ApiError::new(ErrorCode::AlreadyAnswered, "this request has been answered")
            .field("request_id")
            .hint("the first answer counts")
            .into());
    }
    lasting(tx, row, &request, decision)?;
    let body = EventBody::RequestAnswered {
        request_id: params.request_id.clone(),
        decision: decision.as_str().to_owned(),
        by: if boss.is_some() { Answerer::Boss } else { Answerer::User },
    };
    store::append_event(tx, request.view.mission_id, &body)?;
    Ok(request.view.mission_id)
}

/// What an answer means beyond this one request: a rule, or the end of planning.
fn lasting(
    tx: &mut Tx<'_>,
    mut row: MissionRow,
    request: &RequestRow,
    decision: Decision,
) -> Result<(), StoreError> {
    if let (Decision::AllowAlways, Some(rule)) = (decision, &request.view.rule) {
        store::add_rule(tx, row.id, rule, &request.view.request_id)?;
    }
    if request.view.kind == "plan" && decision == Decision::Allow {
        // Resumed later it goes on with the plan and does not make another.
        row.spec.permission_mode = Some(PermissionMode::Default);
        store::save_mission(tx, &row)?;
    }
    Ok(())
}

/// A question wants an answer (or a denial), the others want one of their options.
fn decision(request: &RequestRow, params: &AnswerWorkerParams) -> Result<Decision, ApiError> {
    let RequestView { kind, options, .. } = &request.view;
    if kind == "question" {
        return match (params.decision, &params.answer) {
            (Some(Decision::Deny), _) => Ok(Decision::Deny),
            (_, Some(answer)) if !answer.trim().is_empty() => Ok(Decision::Allow),
            _ => Err(ApiError::invalid("answer", "a question wants an answer")
                .hint("give `answer`, or decision deny")),
        };
    }
    match params.decision {
        Some(decision) if options.is_empty() || options.iter().any(|word| word == decision.as_str()) => {
            Ok(decision)
        }
        Some(decision) => Err(ApiError::invalid(
            "decision",
            format!("a {kind} cannot be answered with {}", decision.as_str()),
        )
        .hint(options.join(" or "))),
        None => {
            Err(ApiError::invalid("decision", format!("a {kind} wants a decision"))
                .hint(options.join(" or ")))
        }
    }
}
