//! The syscall filter of a container's processes.
//!
//! Four programs are stacked; the kernel runs all and, among equal refusals, the one installed last names the error:
//! 1. an allowlist: what is not on it does not exist (`ENOSYS`), so programs take their fallback;
//! 2. a denylist: what is known and forbidden, by number or by argument, is not permitted (`EPERM`);
//! 3. socket families that a sandbox does not have (`EAFNOSUPPORT`);
//! 4. the limit of core dumps, which stays as it is while the caller hears that it was set.
//!
//! The allowlist is what systemd-nspawn permits a container, less what a process without `CAP_SYS_ADMIN` cannot use
//! anyway and less kernel surface that agents do not need. `clone3` hides its flags from a filter, so it does not exist
//! and C libraries fall back to `clone`. A call by another architecture's ABI (32 bit on a 64-bit kernel) kills the
//! process; x32 numbers are on no list.

mod filter;
mod tables;

pub use filter::{InstallError, install};
pub use tables::{Entry, Verdict, table, verdict};
