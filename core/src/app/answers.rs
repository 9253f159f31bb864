//! Questions and permissions: listed, and answered once.

use sandboxed_domain::api::{
    AnswerWorkerParams, AnswerWorkerResponse, ApiError, Decision, ErrorCode, EventBody, RequestView,
};
use uuid::Uuid;

use super::App;
use super::caller::Identity;
use crate::store::{self, RequestRow, StoreError, Tx};

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
    let word = serde_json::to_value(decision)?.as_str().unwrap_or_default().to_owned();
    let body = EventBody::RequestAnswered { request_id: params.request_id.clone(), decision: word };
    store::append_event(tx, row.id, &body)?;
    Ok(row.id)
}

/// A permission wants a decision, a question wants an answer (or a denial).
fn decision(request: &RequestRow, params: &AnswerWorkerParams) -> Result<Decision, ApiError> {
    if request.view.kind == "question" {
        return match (params.decision, &params.answer) {
            (Some(Decision::Deny), _) => Ok(Decision::Deny),
            (_, Some(answer)) if !answer.trim().is_empty() => Ok(Decision::Allow),
            _ => Err(ApiError::invalid("answer", "a question wants an answer")
                .hint("give `answer`, or decision deny")),
        };
    }
    params.decision.ok_or_else(|| {
        ApiError::invalid("decision", "a permission wants a decision").hint("allow, allow_always or deny")
    })
}
