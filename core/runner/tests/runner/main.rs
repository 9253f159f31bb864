//! The real program, from outside.

#[cfg(test)]
mod host;
#[cfg(test)]
mod seccomp;
#[cfg(test)]
mod support;
