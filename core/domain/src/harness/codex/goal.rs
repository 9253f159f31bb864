//! Goals: the command that a message may be, and the status that becomes an event.

use serde_json::{Value, json};

use super::super::HarnessEvent;
use super::rpc::text;
use super::state::{Asked, Goal, State};

/// What a message says about the goal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Set { objective: &'a str, budget: Option<u64> },
    Resume { budget: Option<u64> },
    Clear,
}

/// `None`: an ordinary message. A budget that is no number stays part of the objective.
pub(super) fn command(message: &str) -> Option<Command<'_>> {
    let rest = message.trim().strip_prefix("/goal")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (budget, objective) = match with_budget(rest) {
        Some((budget, objective)) => (Some(budget), objective),
        None => (None, rest),
    };
    match objective {
        "resume" => Some(Command::Resume { budget }),
        "clear" => Some(Command::Clear),
        "" => None,
        objective => Some(Command::Set { objective, budget }),
    }
}

fn with_budget(rest: &str) -> Option<(u64, &str)> {
    let rest = rest.strip_prefix("--tokens")?.trim_start_matches(['=', ' ']);
    let (number, objective) = rest.split_once(char::is_whitespace)?;
    Some((number.parse().ok()?, objective.trim_start()))
}

impl Goal {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            status: snake_case(value["status"].as_str()?),
            objective: text(value, "objective").to_owned(),
            used: value["tokensUsed"].as_u64().unwrap_or(0),
            budget: value["tokenBudget"].as_u64(),
        })
    }

    /// Codex starts the next turn by itself.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }

    /// It could go on.
    pub fn is_unfinished(&self) -> bool {
        ["paused", "blocked", "usage_limited"].contains(&self.status.as_str())
    }
}

/// `budgetLimited` as `budget_limited`.
fn snake_case(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Takes in what is said of the goal; true when it is news for a reader.
pub(super) fn update(state: &mut State, value: &Value) -> bool {
    let Some(new) = Goal::read(value) else {
        state.goal = None;
        return false;
    };
    state.driven |= new.is_active() && !state.launch.planning;
    let old = state.goal.replace(new.clone());
    old.is_none_or(|old| (old.status, old.objective, old.budget) != (new.status, new.objective, new.budget))
}

/// The goal as an event.
pub(super) fn event(state: &State) -> Option<HarnessEvent> {
    let goal = state.goal.as_ref()?;
    Some(HarnessEvent::Goal {
        status: goal.status.clone(),
        objective: goal.objective.clone(),
        iterations: state.iterations,
        tokens_used: goal.used,
        token_budget: goal.budget,
    })
}

/// What is asked for a message about the goal.
pub(super) fn ask(state: &mut State, id: &str, command: &Command<'_>) -> String {
    let thread = state.thread.clone();
    match command {
        Command::Set { objective, budget } => {
            let mut params = json!({ "threadId": thread, "objective": objective, "origin": "user" });
            // A goal that was set before keeps its budget unless it is told a new one or none.
            params["tokenBudget"] = json!(budget);
            state.ask(Asked::Goal(id.to_owned()), "thread/goal/set", &params)
        }
        Command::Resume { budget } => {
            let mut params = json!({ "threadId": thread, "status": "active" });
            if let Some(budget) = budget {
                params["tokenBudget"] = json!(budget);
            }
            state.ask(Asked::Goal(id.to_owned()), "thread/goal/set", &params)
        }
        Command::Clear => {
            state.ask(Asked::Clear(id.to_owned()), "thread/goal/clear", &json!({ "threadId": thread }))
        }
    }
}

/// Keeps Codex from starting the next turn.
pub(super) fn pause(state: &mut State) -> String {
    let params = json!({ "threadId": state.thread, "status": "paused" });
    state.ask(Asked::Pause, "thread/goal/set", &params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_told_from_an_ordinary_message() {
        use Command::{Clear, Resume, Set};
        let table = [
            ("/goal make it fast", Some(Set { objective: "make it fast", budget: None })),
            (" /goal  two\nlines ", Some(Set { objective: "two\nlines", budget: None })),
            ("/goal --tokens 50000 make it", Some(Set { objective: "make it", budget: Some(50000) })),
            ("/goal --tokens=7 x", Some(Set { objective: "x", budget: Some(7) })),
            ("/goal --tokens many x", Some(Set { objective: "--tokens many x", budget: None })),
            ("/goal resume", Some(Resume { budget: None })),
            ("/goal --tokens 9 resume", Some(Resume { budget: Some(9) })),
            ("/goal resume work", Some(Set { objective: "resume work", budget: None })),
            ("/goal clear", Some(Clear)),
            ("/goal", None),
            ("/goal ", None),
            ("/goals are good", None),
            ("my /goal x", None),
        ];
        for (message, wanted) in table {
            assert_eq!(command(message), wanted, "{message:?}");
        }
    }
}
