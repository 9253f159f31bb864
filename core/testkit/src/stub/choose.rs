//! Which step answers a conversation: a pure function of the script and the request.

use serde_json::Value;

use super::script::{Scenario, Script, Step};

/// What every API's request comes down to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The model asked for.
    pub model: String,
    /// A stream is wanted.
    pub stream: bool,
    /// Names of the tools offered.
    pub tools: Vec<String>,
    /// The request forces one certain tool.
    pub forced_tool: bool,
    /// The request asks for a shorter form of the conversation, in a form of its own.
    pub compacts: bool,
    /// The form in which the answer is wanted: a schema of JSON.
    pub form: Option<Value>,
    /// The messages, oldest first.
    pub entries: Vec<Entry>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// From the model.
    Assistant,
    /// From the user or the harness.
    User {
        /// Text blocks, in order.
        texts: Vec<String>,
        /// Texts of the tool results it carries, in order.
        results: Vec<String>,
    },
}

impl Conversation {
    /// Asks for a title or a summary rather than for the next turn.
    pub fn is_side_request(&self) -> bool {
        self.compacts || self.tools.is_empty() || (self.tools.len() == 1 && self.forced_tool)
    }

    /// All tool results, oldest first.
    pub fn results(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.entries
            .iter()
            .flat_map(|entry| match entry {
                Entry::Assistant => [].iter(),
                Entry::User { results, .. } => results.iter(),
            })
            .map(String::as_str)
    }

    /// The newest tag and where it stands.
    fn newest_tag(&self) -> Option<(&str, usize)> {
        self.entries.iter().enumerate().rev().find_map(|(at, entry)| match entry {
            Entry::Assistant => None,
            Entry::User { texts, .. } => {
                texts.iter().rev().find_map(|text| last_tag(text)).map(|tag| (tag, at))
            }
        })
    }

    /// Assistant turns from `start` on; messages without a user message between them are one turn.
    fn turns_from(&self, start: usize) -> usize {
        let tail = self.entries.get(start..).unwrap_or_default();
        let mut before = None;
        tail.iter()
            .filter(|entry| {
                let first = **entry == Entry::Assistant && before != Some(&Entry::Assistant);
                before = Some(*entry);
                first
            })
            .count()
    }
}

/// The last `[[name]]` of a text; a name has letters, digits, `_`, `-` and `.`.
fn last_tag(text: &str) -> Option<&str> {
    let named = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    text.rmatch_indices("[[").find_map(|(at, open)| {
        let (name, _) = text[at + open.len()..].split_once("]]")?;
        (!name.is_empty() && name.chars().all(named)).then_some(name)
    })
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice<'a> {
    /// The answer to side requests.
    Side(&'a Step),
    /// A step of a scenario.
    Step {
        /// Name of the scenario; `default` without a tag.
        scenario: &'a str,
        /// Which step.
        index: usize,
        /// The step.
        step: &'a Step,
    },
    /// The tag names no scenario.
    NoScenario {
        /// The name in the tag.
        name: &'a str,
    },
    /// The conversation is longer than its scenario.
    NoStep {
        /// Name of the scenario.
        scenario: &'a str,
        /// The step that is missing.
        index: usize,
    },
}

/// Chooses the step that answers a conversation.
pub fn choose<'a>(script: &'a Script, conversation: &'a Conversation) -> Choice<'a> {
    if conversation.is_side_request() {
        return Choice::Side(&script.side);
    }
    match conversation.newest_tag() {
        None => pick("default", &script.default, conversation.turns_from(0).min(last_index(&script.default))),
        Some((name, at)) => match script.scenarios.get(name) {
            None => Choice::NoScenario { name },
            Some(scenario) => pick(name, scenario, conversation.turns_from(at)),
        },
    }
}

fn last_index(scenario: &Scenario) -> usize {
    scenario.steps.len().saturating_sub(1)
}

fn pick<'a>(name: &'a str, scenario: &'a Scenario, index: usize) -> Choice<'a> {
    match scenario.steps.get(index) {
        Some(step) => Choice::Step { scenario: name, index, step },
        None => Choice::NoStep { scenario: name, index },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Entry {
        Entry::User { texts: vec![text.to_owned()], results: vec![] }
    }

    fn result(text: &str) -> Entry {
        Entry::User { texts: vec![], results: vec![text.to_owned()] }
    }

    fn asked(entries: Vec<Entry>) -> Conversation {
        Conversation { tools: vec!["Bash".into(), "Read".into()], entries, ..Conversation::default() }
    }

    fn script() -> Script {
        Script::default()
            .scenario("a", [Step::text("a0"), Step::text("a1")])
            .scenario("b.2_x-y", [Step::text("b0")])
    }

    fn chosen(entries: Vec<Entry>) -> String {
        match choose(&script(), &asked(entries)) {
            Choice::Side(_) => "side".to_owned(),
            Choice::Step { scenario, index, .. } => format!("{scenario}/{index}"),
            Choice::NoScenario { name } => format!("no {name}"),
            Choice::NoStep { scenario, index } => format!("no {scenario}/{index}"),
        }
    }

    #[test]
    fn newest_tagged_user_text_picks_the_scenario_and_assistant_turns_after_it_the_step() {
        use Entry::Assistant as A;
        let table: Vec<(Vec<Entry>, &str)> = vec![
            (vec![user("x [[a]] y")], "a/0"),
            (vec![user("[[a]]"), A, result("[[b.2_x-y]]")], "a/1"),
            (vec![user("[[a]]"), A, A, result("r")], "a/1"),
            (vec![user("[[a]]"), A, user("[[b.2_x-y]]")], "b.2_x-y/0"),
            (vec![user("[[a]]"), A, user("go on")], "a/1"),
            (vec![user("old [[b.2_x-y]] new [[a]]")], "a/0"),
            (vec![user("[[a]] and [[ -f x ]] and [[:alpha:]] and [[]]")], "a/0"),
            (vec![user("[[a]]"), A, user("x"), A, user("y")], "no a/2"),
            (vec![user("[[nope]]")], "no nope"),
            (vec![user("hello")], "default/0"),
            (vec![user("hello"), A, user("more"), A, user("more")], "default/0"),
        ];
        for (entries, expected) in table {
            assert_eq!(chosen(entries.clone()), expected, "{entries:?}");
        }
    }

    #[test]
    fn no_tools_or_one_forced_tool_is_a_side_request() {
        let table = [(0, false, true), (0, true, true), (1, true, true), (1, false, false), (2, true, false)];
        for (tools, forced_tool, side) in table {
            let conversation = Conversation {
                tools: vec!["T".to_owned(); tools],
                forced_tool,
                entries: vec![user("[[a]]")],
                ..Conversation::default()
            };
            let is_side = matches!(choose(&script(), &conversation), Choice::Side(_));
            assert_eq!(is_side, side, "{tools} tools, forced: {forced_tool}");
        }
    }
}
