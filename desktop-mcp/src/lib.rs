//! Hands and eyes: desktops of one's own over MCP. A desktop is an X server, a window manager and a session bus that
//! nobody else sees; tools look at it, act on it and wait for what happens on it.

pub mod a11y;
pub mod act;
pub mod error;
pub mod geometry;
pub mod ocr;
pub mod record;
pub mod see;
pub mod server;
pub mod session;
pub mod stream;
pub mod tools;
pub mod wait;
pub mod x;
