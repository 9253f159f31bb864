//! The host's side of harnesses: finding their programs and credentials, writing their files.

mod credentials;
mod files;
mod programs;

pub use credentials::*;
pub use files::*;
pub use programs::*;
