//! What a worker is asked to do, so that what it did can be checked.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::random::Random;

/// A worker that prints numbered lines.
#[derive(Debug, Clone)]
pub struct Plan {
    pub task_key: String,
    pub lines: u64,
    pub exit: u8,
    /// Exit code of its check, where it has one.
    pub check: Option<u8>,
    /// Another workspace than the boss's.
    pub workspace: Option<String>,
    script: String,
}

impl Plan {
    pub fn new(task_key: String, workspace: Option<&str>, random: &mut Random) -> Self {
        let lines = 20 + random.below(200);
        let exit = if random.one_in(4) { 1 + random.below(100) as u8 } else { 0 };
        let check = random.one_in(3).then(|| if random.one_in(2) { 0 } else { 7 });
        let other = if random.one_in(4) { Some("host") } else { workspace };
        let workspace = other.map(str::to_owned);
        Self { task_key, lines, exit, check, workspace, script: script(lines, exit, random) }
    }

    pub fn worker(&self) -> Value {
        let mut worker = json!({
            "title": self.task_key,
            "task_key": self.task_key,
            "backend": "command",
            "prompt": self.script,
        });
        if let Some(code) = self.check {
            worker["verification_command"] =
                json!(format!("echo checked >> checks; sleep 0.02; exit {code}"));
        }
        if let Some(workspace) = &self.workspace {
            worker["workspace_id"] = json!(workspace);
        }
        worker
    }

    /// All that it prints.
    pub fn output(&self) -> String {
        (1..=self.lines).fold(String::new(), |mut text, n| {
            let _ = writeln!(text, "{n}");
            text
        })
    }
}

/// Bursts of lines with pauses between them, sometimes in the middle of a line. It notes that it was started.
fn script(lines: u64, exit: u8, random: &mut Random) -> String {
    let mut text = "echo started >> starts\n".to_owned();
    let mut next = 1;
    while next <= lines {
        let last = (next + random.below(24)).min(lines);
        let numbers: Vec<String> = (next..=last).map(|n| n.to_string()).collect();
        let _ = writeln!(text, "printf '%s\\n' {}", numbers.join(" "));
        next = last + 1;
        if random.one_in(4) && (10..=lines).contains(&next) {
            let (head, tail) = (next / 10, next % 10);
            let _ = writeln!(text, "printf {head}; sleep 0.0{}; echo {tail}", 1 + random.below(3));
            next += 1;
        }
        if random.one_in(2) {
            let _ = writeln!(text, "sleep 0.0{:02}", random.below(80));
        }
    }
    let _ = writeln!(text, "exit {exit}");
    text
}
