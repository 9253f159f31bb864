//! The real program, from outside.

#[cfg(test)]
mod cgroup;
#[cfg(test)]
mod container;
#[cfg(test)]
mod host;
mod options;
#[cfg(test)]
mod seccomp;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trials;
