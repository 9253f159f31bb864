//! The real program, from outside.

#[cfg(test)]
mod cgroup;
#[cfg(test)]
mod container;
#[cfg(test)]
mod host;
#[cfg(test)]
mod seccomp;
#[cfg(test)]
mod support;
