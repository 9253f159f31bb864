//! The host's side of harnesses: finding their programs and credentials, writing their files.

mod credentials;
mod files;
mod install;
mod programs;
mod unpack;
mod version;

pub use credentials::*;
pub use files::*;
pub use install::*;
pub use programs::*;
