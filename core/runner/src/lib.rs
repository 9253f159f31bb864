//! The runner: PID 1 of a container sandbox, supervisor of runs on the host workspace. This library holds what the
//! daemon shares with it: the protocol and a blocking client.

pub mod launch;
pub mod protocol;
