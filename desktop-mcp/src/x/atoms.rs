//! Names that X knows by number.
#![expect(missing_docs, reason = "each field is the number of the name that it has")]

use x11rb::atom_manager;

atom_manager! {
    /// The numbers, asked for once in a connection.
    pub Atoms:
    /// Answers to come.
    AtomsCookie {
        CLIPBOARD,
        INCR,
        MULTIPLE,
        SAVE_TARGETS,
        TARGETS,
        TIMESTAMP,
        UTF8_STRING,
        TEXT,
        TEXT_PLAIN: b"text/plain",
        TEXT_PLAIN_UTF8: b"text/plain;charset=utf-8",
        ATOM_PAIR,
        DESKTOP_MCP,
        WM_CLASS,
        WM_DELETE_WINDOW,
        WM_NAME,
        WM_PROTOCOLS,
        WM_STATE,
        WM_CHANGE_STATE,
        _NET_ACTIVE_WINDOW,
        _NET_CLIENT_LIST,
        _NET_CLIENT_LIST_STACKING,
        _NET_CLOSE_WINDOW,
        _NET_FRAME_EXTENTS,
        _NET_MOVERESIZE_WINDOW,
        _NET_REQUEST_FRAME_EXTENTS,
        _NET_SUPPORTED,
        _NET_SUPPORTING_WM_CHECK,
        _NET_WM_NAME,
        _NET_WM_PING,
        _NET_WM_PID,
        _NET_WM_STATE,
        _NET_WM_STATE_DEMANDS_ATTENTION,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_HIDDEN,
        _NET_WM_STATE_MAXIMIZED_HORZ,
        _NET_WM_STATE_MAXIMIZED_VERT,
        _NET_WM_STATE_MODAL,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_DESKTOP,
        _NET_WM_WINDOW_TYPE_DOCK,
        XdndDrop,
        XdndFinished,
        XdndLeave,
        XdndPosition,
        XdndSelection,
        XdndStatus,
    }
}
