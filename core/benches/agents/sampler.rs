//! The memory of processes that share a variable, each at its highest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::agents::processes;

/// Between two looks; the kernel keeps the highest figure of a process while it lives.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Sampler {
    over: Arc<AtomicBool>,
    thread: JoinHandle<f64>,
}

impl Sampler {
    /// For all processes whose environment holds `mark`.
    pub fn start(mark: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            let mut highest = BTreeMap::new();
            while !seen.load(Ordering::Relaxed) {
                for process in processes().into_iter().filter(|one| one.environment.contains(&mark)) {
                    if let Some(kib) = highest_of(process.pid) {
                        highest.insert(process.pid, kib);
                    }
                }
                std::thread::sleep(PAUSE);
            }
            highest.values().sum::<f64>() / 1024.0
        });
        Self { over, thread }
    }

    /// The sum in MiB.
    pub fn stop(self) -> f64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Highest resident memory of a process so far, in KiB.
fn highest_of(pid: i32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
