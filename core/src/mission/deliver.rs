//! What goes to a run's stdin: written down with its offset first, sent then, and sent again after a crash.

use sandboxed_domain::harness::Codec;
use sandboxed_domain::mission::MissionStatus;
use uuid::Uuid;

use super::actor::{Actor, StepError};
use crate::store::{self, RunRow, StoreError};
use crate::workspace::Live;

impl Actor<'_> {
    /// Between two turns: promises the next waiting message to the harness. False when none waits.
    pub(super) async fn next_turn(&self, run: &mut RunRow, codec: &mut dyn Codec) -> Result<bool, StepError> {
        let id = self.id;
        let next = self.shared.store.write(move |tx| store::next_message(tx, id)).await?;
        let Some((message, content)) = next else { return Ok(false) };
        let Some(line) = codec.encode_user_message(&message, &content) else { return Ok(false) };
        let (snapshot, mut planned) = (codec.snapshot(), run.clone());
        *run = self
            .shared
            .store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                row.codec_state = Some(snapshot);
                row.last_message.clear();
                row.last_turn = None;
                row.error = None;
                store::message_sent(tx, &message)?;
                planned.idle = false;
                store::plan_stdin(tx, &mut planned, &line)?;
                store::save_mission(tx, &row)?;
                Ok(planned)
            })
            .await?;
        Ok(true)
    }

    /// While a turn runs: promises the messages that are to go into it, as far as the harness takes them now.
    pub(super) async fn steer(&self, run: &mut RunRow, codec: &mut dyn Codec) -> Result<(), StepError> {
        let id = self.id;
        let messages = self.shared.store.write(move |tx| store::messages_to_steer(tx, id)).await?;
        for (message, content) in messages {
            let Some(line) = codec.encode_steer(&message, &content) else { return Ok(()) };
            let (snapshot, mut planned) = (codec.snapshot(), run.clone());
            *run = self
                .shared
                .store
                .write(move |tx| {
                    let mut row = store::get_mission(tx, id)?;
                    row.codec_state = Some(snapshot);
                    store::message_steered(tx, &message)?;
                    store::plan_stdin(tx, &mut planned, &line)?;
                    store::save_mission(tx, &row)?;
                    Ok(planned)
                })
                .await?;
        }
        Ok(())
    }

    /// Promises answers that were given meanwhile.
    pub(super) async fn answers(&self, run: &mut RunRow, codec: &mut dyn Codec) -> Result<(), StepError> {
        let run_id = run.id;
        let answers = self.shared.store.write(move |tx| store::unsent_answers(tx, run_id)).await?;
        for answer in answers {
            let line = codec.encode_answer(
                &answer.harness_id,
                &answer.detail,
                answer.decision,
                answer.answer.as_deref(),
            );
            let (id, snapshot, mut planned) = (self.id, codec.snapshot(), run.clone());
            *run = self
                .shared
                .store
                .write(move |tx| {
                    let mut row = store::get_mission(tx, id)?;
                    row.codec_state = Some(snapshot);
                    if let Some(line) = line {
                        store::plan_stdin(tx, &mut planned, &line)?;
                    }
                    let open = store::answer_sent(tx, id, &answer.request_id)?;
                    if open == 0 && row.status == MissionStatus::NeedsInput {
                        store::transition(tx, &mut row, MissionStatus::Active, None)?;
                    }
                    store::save_mission(tx, &row)?;
                    Ok(planned)
                })
                .await?;
        }
        Ok(())
    }

    /// Promises an interrupt.
    pub(super) async fn interrupt(&self, run: &mut RunRow, codec: &mut dyn Codec) -> Result<bool, StepError> {
        let Some(line) = codec.encode_interrupt(&Uuid::new_v4().to_string()) else { return Ok(false) };
        let (id, snapshot, mut planned) = (self.id, codec.snapshot(), run.clone());
        *run = self
            .shared
            .store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                row.codec_state = Some(snapshot);
                store::plan_stdin(tx, &mut planned, &line)?;
                store::save_mission(tx, &row)?;
                Ok(planned)
            })
            .await?;
        Ok(true)
    }

    /// Sends everything promised that the runner has not confirmed, then closes stdin when that was promised.
    ///
    /// True when the runner would not take all of it: its process may be gone, which the exit record will tell, or it
    /// does not read; then it is sent again later.
    pub(super) async fn flush_stdin(&self, sandbox: &Live, run: &RunRow) -> Result<bool, StepError> {
        if !run.plan.stdin_pipe {
            return Ok(false);
        }
        let id = run.id;
        for (offset, data) in self.shared.store.write(move |tx| store::pending_stdin(tx, id)).await? {
            if let Err(error) = sandbox.runner().write_stdin(&id.to_string(), offset, &data).await {
                tracing::debug!(run = %id, %error, "stdin not taken");
                return Ok(true);
            }
            self.shared.store.write(move |tx| store::confirm_stdin(tx, id, offset)).await?;
        }
        if run.stdin_closed
            && let Err(error) = sandbox.runner().close_stdin(&id.to_string()).await
        {
            tracing::debug!(run = %id, %error, "stdin not closed");
            return Ok(true);
        }
        Ok(false)
    }

    /// Promises that no more will come.
    pub(super) async fn close_stdin(&self, run: &mut RunRow) -> Result<(), StoreError> {
        run.stdin_closed = true;
        let planned = run.clone();
        self.shared.store.write(move |tx| store::save_run(tx, &planned)).await
    }
}
