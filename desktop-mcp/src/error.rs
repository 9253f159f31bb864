//! What can go wrong, as the model reads it: a stable code, a sentence, the field at fault and what to do next.

use std::io;

use serde::Serialize;

/// Result of everything that a tool does.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// A failure of a tool.
pub type Problem = sandboxed_mcp::Problem<Code>;

/// Stable names of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A value is out of its range, or two do not fit together.
    InvalidArgument,
    /// A field that the tool does not have.
    UnknownField,
    /// A program that is needed is not installed.
    NotInstalled,
    /// A program was found and did not start.
    NotStarted,
    /// There is no such desktop, or none at all.
    UnknownDesktop,
    /// As many desktops as may be are there.
    TooManyDesktops,
    /// The desktop has ended.
    DesktopEnded,
    /// A place that is not on the screen.
    OffScreen,
    /// A picture that is not, or no longer, known.
    UnknownPicture,
    /// A window that is not, or no longer, there.
    UnknownWindow,
    /// The name of a key or button that does not exist.
    UnknownKey,
    /// Text that could not be put in.
    TextNotTyped,
    /// What was looked for is not there.
    NotFound,
    /// More than one fits.
    NotUnique,
    /// The element is gone, or its reference is of an older snapshot.
    StaleElement,
    /// The element cannot do that.
    NotActionable,
    /// Something is there already.
    AlreadyExists,
    /// More than is taken or given at once.
    TooLarge,
    /// It took longer than it may.
    TimedOut,
    /// The client took the call back.
    Cancelled,
    /// The system reported another failure.
    IoError,
    /// A mistake of this server.
    Internal,
}

impl sandboxed_mcp::Code for Code {
    const INVALID_ARGUMENT: Self = Self::InvalidArgument;
    const UNKNOWN_FIELD: Self = Self::UnknownField;
    const CANCELLED: Self = Self::Cancelled;
    const INTERNAL: Self = Self::Internal;

    fn hint(self) -> &'static str {
        match self {
            Self::InvalidArgument | Self::UnknownField => "see the tool's schema and call again",
            Self::NotInstalled => "install the package that the message names, then call again",
            Self::NotStarted => "the message has what the program said",
            Self::UnknownDesktop => "list_desktops shows those that run; start_desktop starts one",
            Self::TooManyDesktops => "end one with stop_desktop",
            Self::DesktopEnded => "start another with start_desktop",
            Self::OffScreen => "take a screenshot and give a place within it",
            Self::UnknownPicture => "leave picture out, or take a new screenshot and use its number",
            Self::UnknownWindow => "list_windows shows those that are there",
            Self::UnknownKey => {
                "use names of X keysyms, as xdotool does: Return, ctrl+shift+t, Page_Down, F5"
            }
            Self::TextNotTyped => "put it in with set_clipboard and ctrl+v, or set the text of the element",
            Self::NotFound => "look again with snapshot or screenshot",
            Self::NotUnique => "say it more exactly, or use a ref of snapshot",
            Self::StaleElement => "take a new snapshot and use its refs",
            Self::NotActionable => "click it by its place instead",
            Self::AlreadyExists => "choose another name",
            Self::TooLarge => "ask for less at a time",
            Self::TimedOut => "take a screenshot to see how it is, then call again",
            Self::Cancelled => "call again if it is still wanted",
            Self::IoError => "the message has what the system said",
            Self::Internal => "this is a mistake of desktop-mcp; try another way",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::AlreadyExists,
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::IoError,
        }
    }
}

/// A failure in talking to the X server: it is gone, or what was asked about is.
pub fn x_failed(error: impl Into<x11rb::errors::ReplyOrIdError>) -> Problem {
    use x11rb::errors::ReplyOrIdError as E;
    use x11rb::protocol::ErrorKind;
    match error.into() {
        E::ConnectionError(_) => Problem::new(Code::DesktopEnded, "the desktop's X server has gone"),
        E::IdsExhausted => Problem::internal("no X ids are left"),
        E::X11Error(error) if matches!(error.error_kind, ErrorKind::Window | ErrorKind::Drawable) => {
            Problem::new(Code::UnknownWindow, "the window is not there any more")
        }
        E::X11Error(error) => Problem::internal(format!(
            "X error {:?} of {}",
            error.error_kind,
            error.request_name.unwrap_or("a request")
        )),
    }
}
