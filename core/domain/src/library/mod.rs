//! The Library: a folder of skills, agents, commands, rules, MCP servers, tools, templates, init scripts and profiles.
//!
//! Reading it is somebody else's; here its files are checked, each error with its file and line, and what a mission
//! gets of it is decided.
//!
//! | file | what it is |
//! |---|---|
//! | `skills/NAME/SKILL.md` and what lies beside it | a skill |
//! | `agents/NAME.md`, `commands/NAME.md`, `rules/NAME.md` | an agent, a command, a rule |
//! | `mcps/NAME.toml` or `.json` | an MCP server |
//! | `tools/NAME` | a program in the `PATH` of agents |
//! | `templates/NAME.toml` or `.yaml`, `init-scripts/NAME.sh` | of images |
//! | `configs/PROFILE/profile.toml`, `configs/PROFILE/BACKEND/…` | a profile, and settings of a harness |

mod check;
mod documents;
mod front;
mod mcp;
mod names;
mod native;
mod problem;
mod profile;
mod resolve;
mod source;

pub use check::*;
pub use documents::*;
pub use mcp::*;
pub use names::*;
pub use problem::*;
pub use profile::*;
pub use resolve::*;
pub use source::*;
