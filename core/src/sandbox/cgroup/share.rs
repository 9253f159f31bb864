//! How much of the machine all sandboxes of a daemon may have together. Each run has limits of its own; what many of
//! them leave behind (files in memory, above all) has none, and must not take the machine's last page.

use std::fs;

use sandboxed_domain::sandbox::Limits;

/// Percent of the machine's memory.
const MEMORY: u64 = 90;
/// Percent of the processes and threads that the kernel can have.
const PROCESSES: u64 = 80;

/// The limits of a daemon's whole tree; none where the machine does not tell.
pub(super) fn of_machine() -> Limits {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let number = |path: &str| read(path).trim().parse::<u64>().ok();
    let threads =
        number("/proc/sys/kernel/threads-max").into_iter().chain(number("/proc/sys/kernel/pid_max"));
    Limits {
        memory_bytes: total(&read("/proc/meminfo")).map(|bytes| bytes / 100 * MEMORY),
        cpu_millis: None,
        pids: threads.min().map(|most| u32::try_from(most * PROCESSES / 100).unwrap_or(u32::MAX)),
    }
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(total("MemTotal:       24684084 kB\nMemFree: 1 kB\n"), Some(24_684_084 << 10));
        assert_eq!(total("nothing"), None);
    }
}
