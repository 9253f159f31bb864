//! What people, agents and machines get wrong, against the real daemon: each mistake gets one clear error that names the
//! field or the file and says what to do, and nothing is lost or half done.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod disk;
#[cfg(test)]
#[path = "../raw/mod.rs"]
mod raw;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod stdio;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
