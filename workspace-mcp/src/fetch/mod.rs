//! `fetch_url`: one page of the web as text or file.
//!
//! Nothing but the public internet is reached: an address is looked up once, every address of the name is checked, and
//! those that were checked are connected to; each redirect begins anew. Where the environment names a proxy, as in a
//! sandbox with an allowlist, the proxy is asked, and its rules hold.
//!
//! - [`target`]: which URLs are fetched, and through what.
//! - [`names`]: addresses of names, checked.
//! - [`get`]: the request, hop by hop.
//! - [`page`]: what comes back, as text. [`tool`]: the tool.

mod get;
mod names;
mod page;
mod target;
mod tool;

pub use tool::{FetchParams, fetch_url};
