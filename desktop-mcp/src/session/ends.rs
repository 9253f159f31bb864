//! Which processes a keeper still has below it.

use std::collections::BTreeSet;
use std::fs;

/// Numbers of processes.
pub type Children = BTreeSet<i32>;

/// All descendants of this process, apart from those of `spared` and what is below them. This process is the reaper of
/// them all, so nobody's number is used again before it has been taken in here, unless its parent is alive.
pub fn descendants(spared: &[i32]) -> Children {
    let mut found = Children::new();
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut open = vec![own];
    while let Some(pid) = open.pop() {
        for child in children(pid) {
            if !spared.contains(&child) && found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}
