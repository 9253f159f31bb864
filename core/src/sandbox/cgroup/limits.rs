//! Limits in the words of each version.

use sandboxed_domain::sandbox::Limits;

use super::CgroupError;
use super::group::Group;
use super::hierarchy::{Controller, Version};

/// Period of the processor quota in microseconds; the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// Writes the limits that are set; one whose controller is missing is an error, never skipped.
pub(super) fn apply(group: &Group, limits: &Limits) -> Result<(), CgroupError> {
    if let Some(bytes) = limits.memory_bytes {
        apply_memory(group, bytes)?;
    }
    if let Some(millis) = limits.cpu_millis {
        let quota = u64::from(millis) * CPU_PERIOD_US / 1000;
        match group.version(Controller::Cpu)? {
            Version::V2 => group.write(Controller::Cpu, "cpu.max", &format!("{quota} {CPU_PERIOD_US}"))?,
            Version::V1 => {
                group.write(Controller::Cpu, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
                group.write(Controller::Cpu, "cpu.cfs_quota_us", &quota.to_string())?;
            }
        }
    }
    if let Some(pids) = limits.pids {
        group.write(Controller::Pids, "pids.max", &pids.to_string())?;
    }
    Ok(())
}

/// Memory, with swap off: v1 counts memory and swap together, and not on every kernel.
fn apply_memory(group: &Group, bytes: u64) -> Result<(), CgroupError> {
    let memory = Controller::Memory;
    let bytes = bytes.to_string();
    match group.version(memory)? {
        Version::V2 => {
            group.write(memory, "memory.max", &bytes)?;
            group.write_if_there(memory, "memory.swap.max", "0")
        }
        Version::V1 => {
            // The sum may not be below the part, so a raise begins with the sum and a cut with the part.
            if group.write(memory, "memory.limit_in_bytes", &bytes).is_err() {
                group.write_if_there(memory, "memory.memsw.limit_in_bytes", &bytes)?;
                group.write(memory, "memory.limit_in_bytes", &bytes)?;
            }
            group.write_if_there(memory, "memory.memsw.limit_in_bytes", &bytes)
        }
    }
}
