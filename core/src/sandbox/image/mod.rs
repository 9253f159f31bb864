//! Images: read-only root file systems under every sandbox, made from the host's own distribution and mirrors.
//!
//! - [`sources`]: which package mirrors the host itself uses.
//! - [`recipe`]: what an image is made of; its digest is the image's name, so a changed recipe is another image.
//! - [`progress`]: how far a build is, read from what the builder prints.
//! - [`store`]: where images are, and that only one builder makes each.
//! - [`proxies`]: by which proxy a build comes to its mirrors.
//! - [`alone`]: programs of a build, in namespaces of their own.
//! - [`build`]: the build itself.

mod alone;
mod build;
pub mod progress;
mod proxies;
pub mod recipe;
pub mod sources;
pub mod store;

pub use progress::BuildProgress;
pub use recipe::ImageRecipe;
pub use store::{BUILD_PATIENCE, Image, ImageRecord, ImageStore, disk_bytes};
