//! Processes of the machine, as the kernel shows them.

use std::collections::BTreeSet;

use uuid::Uuid;

/// A process.
#[derive(Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// Arguments, separated by spaces.
    pub line: String,
    pub environment: String,
}

/// All that can be read now, ourselves left out.
pub fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let read = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let text = |name: &str| {
            let bytes = std::fs::read(entry.path().join(name)).ok()?;
            Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
        };
        let (line, environment, stat) =
            (text("cmdline")?, text("environ").unwrap_or_default(), text("stat")?);
        // The name in parentheses may hold anything.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (pid.unsigned_abs() != std::process::id()).then_some(Process { pid, parent, line, environment })
    };
    entries.filter_map(read).collect()
}

/// Those whose arguments hold a text: `(pid, arguments)`.
pub fn processes_with(text: &str) -> Vec<(i32, String)> {
    let found = processes().into_iter().filter(|process| process.line.contains(text));
    found.map(|process| (process.pid, process.line)).collect()
}

/// All of a mission, known by the variable that the platform gives them; the agent's own first.
pub fn processes_of(mission: Uuid) -> Vec<Process> {
    let mark = format!("SANDBOXED_SH_MISSION_ID={mission} ");
    let mut found = processes();
    found.retain(|process| process.environment.contains(&mark));
    let pids: BTreeSet<i32> = found.iter().map(|process| process.pid).collect();
    found.sort_by_key(|process| (pids.contains(&process.parent), process.pid));
    found
}
