//! The HTTP door of the real daemon, as any client sees it.

#[cfg(test)]
mod cleaning;
mod deleting;
#[cfg(test)]
mod destroying;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod images;
#[cfg(test)]
mod missions;
#[cfg(test)]
mod proxies;
#[cfg(test)]
#[path = "../raw/mod.rs"]
mod raw;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shells;
#[cfg(test)]
mod stream;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod workspaces;
