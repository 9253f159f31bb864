//! Files of the workspace. All functions block; the server calls them on threads for that.
//!
//! - [`read`]: text in ranges, pictures, and what a binary file is.
//! - [`write`], [`edit`]: a file is replaced whole, by rename.
//! - [`moves`]: move, and delete into the trash.
//! - [`walk`], [`rules`]: directories in order, without what `.gitignore` excludes.
//! - [`list`], [`search`]: what is there, and what is in it.

mod edit;
mod list;
mod moves;
mod open;
mod read;
mod replace;
mod rules;
mod search;
mod state;
mod walk;
mod write;

pub use edit::{EditParams, EditResponse, edit_file};
pub use list::{ListParams, list_files};
pub use moves::{DeleteParams, DeleteResponse, MoveParams, MoveResponse, delete_file, move_file};
pub use open::open_file;
pub use read::{MAX_PICTURE, ReadParams, read_file};
pub use replace::{Before, already_there, replace};
pub use search::{SearchParams, search_files};
pub use state::{empty_trash, state_dir};
pub use write::{WriteParams, WriteResponse, write_file};
