//! The host's side of harnesses: finding their programs and credentials, writing their files.

mod credentials;
mod files;
mod handover;
mod install;
mod key_file;
mod lending;
mod logins;
mod private_files;
mod programs;
mod unpack;
mod version;

pub use credentials::*;
pub use files::*;
pub use handover::*;
pub use install::*;
pub use key_file::*;
pub use lending::*;
pub use logins::*;
pub use private_files::*;
pub use programs::*;
