//! A turn's life: taken up, its tokens, and its end with what it means.

use serde_json::{Value, json};

use super::super::{FailureClass, HarnessEvent};
use super::state::{Asked, Ending, How, State};
use super::{goal, handshake, requests, rpc};
use crate::api::Usage;

/// Sub-agents' sessions whose tokens are told apart.
const MOST_OTHERS: usize = 64;

/// The answer to `turn/start`.
pub(super) fn accepted(state: &mut State, id: &str, result: Result<&Value, &str>) -> Vec<HarnessEvent> {
    match result {
        Ok(result) => {
            let turn = result["turn"]["id"].as_str().map(str::to_owned).or(state.turn.clone());
            if let Some(sent) = state.unstarted.iter_mut().find(|sent| sent.id == id) {
                sent.turn = turn;
            }
            handshake::announce(state)
        }
        Err(error) if state.turn.is_some() => {
            state.unstarted.retain(|sent| sent.id != id);
            vec![HarnessEvent::MessageRefused { id: id.to_owned(), reason: error.to_owned() }]
        }
        Err(error) => handshake::fail(state, format!("codex does not take the message: {error}")),
    }
}

/// `turn/started`.
pub(super) fn started(state: &mut State, params: &Value) -> Vec<HarnessEvent> {
    let id = rpc::text(&params["turn"], "id").to_owned();
    state.turn = Some(id.clone());
    state.working = true;
    state.error = None;
    state.retried = None;
    let mut events = handshake::announce(state);
    if state.interrupting {
        events.push(HarnessEvent::Send { line: interrupt(state, &id) });
    }
    events
}

/// Asks to stop the turn.
pub(super) fn interrupt(state: &mut State, turn: &str) -> String {
    let params = json!({ "threadId": state.thread, "turnId": turn });
    state.ask(Asked::Interrupt, "turn/interrupt", &params)
}

/// A message that is in the conversation now.
pub(super) fn message_started(state: &mut State, item: &Value) -> Vec<HarnessEvent> {
    let Some(id) = item["clientId"].as_str() else { return Vec::new() };
    take_started(state, |sent| sent.id == id)
}

fn take_started(state: &mut State, which: impl Fn(&super::state::Sent) -> bool) -> Vec<HarnessEvent> {
    let (taken, left) = std::mem::take(&mut state.unstarted).into_iter().partition(which);
    state.unstarted = left;
    let taken: Vec<super::state::Sent> = taken;
    taken.into_iter().map(|sent| HarnessEvent::MessageStarted { id: sent.id }).collect()
}

/// `thread/tokenUsage/updated`.
pub(super) fn tokens(state: &mut State, params: &Value) {
    let read = |of: &str| {
        let of = &params["tokenUsage"][of];
        [of["inputTokens"].as_u64().unwrap_or(0), of["outputTokens"].as_u64().unwrap_or(0)]
    };
    let (total, last) = (read("total"), read("last"));
    if state.is_foreign(params) {
        let thread = rpc::text(params, "threadId");
        let tokens = &mut state.tokens;
        let known = tokens.others.get(thread).copied();
        let before = known.unwrap_or_else(|| less(total, last));
        tokens.of_others = more(tokens.of_others, less(total, before));
        if known.is_some() || tokens.others.len() < MOST_OTHERS {
            tokens.others.insert(thread.to_owned(), total);
        }
        return;
    }
    let own = state.turn.is_some() && params["turnId"].as_str() == state.turn.as_deref();
    // A resumed session tells what it has used before; a turn that is told of first has used its last answer.
    let base = state.tokens.base.get_or_insert(if own { less(total, last) } else { total });
    if total.iter().zip(&*base).any(|(total, base)| total < base) {
        *base = less(total, last);
    }
    state.tokens.now = total;
}

fn less(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
    [a[0].saturating_sub(b[0]), a[1].saturating_sub(b[1])]
}

fn more(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// `turn/completed`: the end of the mission's turn too, unless a message or the goal goes on.
pub(super) fn completed(state: &mut State, params: &Value) -> Vec<HarnessEvent> {
    let turn = &params["turn"];
    let id = turn["id"].as_str();
    let mut events: Vec<_> = close_reasoning(state).into_iter().collect();
    state.turn = None;
    state.working = true;
    events.extend(take_started(state, |sent| sent.turn.is_some() && sent.turn.as_deref() == id));
    let ending = read(turn);
    if state.driven {
        state.iterations += 1;
        events.extend(goal::event(state));
    }
    let goes_on = state.goal.as_ref().is_some_and(|goal| goal.is_active()) && state.driven;
    let plan = state.plan.take().filter(|_| state.launch.planning && !state.interrupting);
    match (ending.how, plan) {
        (How::Completed, Some(plan)) if state.unstarted.is_empty() => {
            events.push(requests::offer_plan(state, id.unwrap_or_default(), &plan));
            return events;
        }
        _ => {}
    }
    match ending.how {
        How::Completed if !state.interrupting && (goes_on || !state.unstarted.is_empty()) => return events,
        How::Interrupted => events.extend(clean_up(state)),
        How::Completed | How::Failed => {}
    }
    state.unstarted.clear();
    state.ending = Some(ending);
    events.extend(settle(state));
    events
}

fn read(turn: &Value) -> Ending {
    let items = turn["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let last = items.iter().rev().find_map(|item| item["text"].as_str()).unwrap_or_default();
    let error = &turn["error"];
    let (how, message) = match turn["status"].as_str() {
        Some("completed") => (How::Completed, last),
        Some("interrupted") => (How::Interrupted, "interrupted"),
        _ => (How::Failed, error["message"].as_str().unwrap_or("the turn failed")),
    };
    Ending { how, message: message.to_owned(), info: error["codexErrorInfo"].clone() }
}

/// Ends the commands that an interrupted turn leaves running.
pub(super) fn clean(state: &mut State) -> String {
    let params = json!({ "threadId": state.thread });
    state.ask(Asked::Clean, "thread/backgroundTerminals/clean", &params)
}

/// An interrupted turn also leaves its goal active.
fn clean_up(state: &mut State) -> Vec<HarnessEvent> {
    let mut events = vec![HarnessEvent::Send { line: clean(state) }];
    if state.goal.as_ref().is_some_and(|goal| goal.is_active()) && !state.asked.values().any(is_pause) {
        events.push(HarnessEvent::Send { line: goal::pause(state) });
    }
    events
}

fn is_pause(asked: &Asked) -> bool {
    *asked == Asked::Pause
}

/// Tells the end when nothing has to be cleaned up any more, and takes the next message.
pub(super) fn settle(state: &mut State) -> Vec<HarnessEvent> {
    let cleaning = state.asked.values().any(|asked| matches!(asked, Asked::Pause | Asked::Clean));
    if cleaning || state.turn.is_some() {
        return Vec::new();
    }
    let Some(ending) = state.ending.take() else { return Vec::new() };
    let mut events = end(state, &ending);
    if !state.waiting.is_empty() {
        events.extend(handshake::deliver(state));
    }
    events
}

/// The end of the mission's turn.
pub(super) fn end(state: &mut State, ending: &Ending) -> Vec<HarnessEvent> {
    let open = std::mem::take(&mut state.requests);
    let mut events: Vec<_> =
        open.into_iter().map(|request_id| HarnessEvent::RequestWithdrawn { request_id }).collect();
    let (how, failure, message) = meaning(state, ending);
    let used =
        more(less(state.tokens.now, state.tokens.base.unwrap_or(state.tokens.now)), state.tokens.of_others);
    state.tokens.base = state.tokens.base.map(|_| state.tokens.now);
    state.tokens.of_others = [0, 0];
    state.working = false;
    state.interrupting = false;
    state.driven = false;
    state.unstarted.clear();
    state.plan = None;
    state.ends += 1;
    events.push(HarnessEvent::TurnEnded {
        success: how == How::Completed,
        interrupted: how == How::Interrupted,
        failure,
        message,
        usage: Usage { input_tokens: used[0], output_tokens: used[1], cost_usd: None },
    });
    events
}

/// What an end means, the goal considered.
fn meaning(state: &State, ending: &Ending) -> (How, Option<FailureClass>, String) {
    let message = ending.message.clone();
    let goal = state.goal.as_ref().filter(|_| state.driven);
    match (ending.how, goal.map(|goal| goal.status.as_str())) {
        (How::Failed, _) => (How::Failed, Some(classify(state, &ending.info)), message),
        (How::Interrupted, _) | (How::Completed, Some("paused")) => {
            (How::Interrupted, None, "interrupted".to_owned())
        }
        (How::Completed, Some("budget_limited")) => {
            let [used, budget] = goal.map_or([0, 0], |goal| [goal.used, goal.budget.unwrap_or(0)]);
            let message = format!("the goal has used up its budget: {used} of {budget} tokens");
            (How::Failed, Some(FailureClass::BudgetReached), message)
        }
        // As a turn that was cut short: what the worker reported of itself decides.
        (How::Completed, Some("blocked")) => {
            (How::Interrupted, None, format!("the goal is blocked: {message}"))
        }
        (How::Completed, Some("usage_limited")) => {
            let class = FailureClass::RateLimited { resets_at: state.resets_at };
            (How::Failed, Some(class), "the goal waits for the usage limit to be lifted".to_owned())
        }
        (How::Completed, _) => (How::Completed, None, message),
    }
}

/// From `codexErrorInfo` alone; an error that only says `other` is of the kind that was retried before it.
fn classify(state: &State, info: &Value) -> FailureClass {
    let known = class_of(state, info);
    let retried = || state.retried.as_ref().and_then(|info| class_of(state, info));
    known.or_else(retried).unwrap_or(FailureClass::Harness)
}

fn class_of(state: &State, info: &Value) -> Option<FailureClass> {
    let limited = FailureClass::RateLimited { resets_at: state.resets_at };
    if let Some(word) = info.as_str() {
        return match word {
            "usageLimitExceeded" | "rateLimitExceeded" => Some(limited),
            "unauthorized" => Some(FailureClass::Auth),
            "sessionBudgetExceeded" => Some(FailureClass::BudgetReached),
            "serverOverloaded" | "internalServerError" | "flexUnavailable" | "policyCapacityUnavailable" => {
                Some(FailureClass::Transient)
            }
            "other" => None,
            _ => Some(FailureClass::Harness),
        };
    }
    let details = info.as_object()?.values().next()?.as_object()?;
    match details.get("httpStatusCode")?.as_u64() {
        Some(429) => Some(FailureClass::RateLimited { resets_at: None }),
        Some(401 | 403) => Some(FailureClass::Auth),
        Some(500..) | None => Some(FailureClass::Transient),
        Some(_) => Some(FailureClass::Harness),
    }
}

/// Ends a piece of reasoning that is still open.
pub(super) fn close_reasoning(state: &mut State) -> Option<HarnessEvent> {
    state.reasoning.take().map(|_| HarnessEvent::Thinking { content: String::new(), done: true })
}
