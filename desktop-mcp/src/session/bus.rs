//! The environment of programs in a desktop, and its session bus, on which accessibility is found.

use std::{collections::BTreeMap, path::Path};

use crate::x::Access;

/// Variables that would lead a program to another display, bus or input method.
const REMOVED: [&str; 14] = [
    "AT_SPI_BUS_ADDRESS",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_STARTER_ADDRESS",
    "DBUS_STARTER_BUS_TYPE",
    "DESKTOP_STARTUP_ID",
    "GTK_IM_MODULE",
    "INSIDE_EMACS",
    "NOTIFY_SOCKET",
    "NO_AT_BRIDGE",
    "QT_IM_MODULE",
    "SESSION_MANAGER",
    "WAYLAND_DISPLAY",
    "WINDOWID",
    "XMODIFIERS",
];

/// What leads a program to this desktop, and has toolkits tell of themselves over accessibility.
pub fn environment(
    inherited: impl Iterator<Item = (String, String)>,
    access: &Access,
    directory: &Path,
) -> BTreeMap<String, String> {
    let kept = |(name, _): &(String, String)| !REMOVED.contains(&name.as_str());
    let mut env: BTreeMap<_, _> = inherited.filter(kept).collect();
    let path = |name: &str| directory.join(name).display().to_string();
    for (name, value) in [
        ("DISPLAY", access.name()),
        ("XAUTHORITY", path("Xauthority")),
        ("XDG_RUNTIME_DIR", path("run")),
        // Browsers that are ended leave their files behind.
        ("TMPDIR", path("tmp")),
        ("XDG_SESSION_TYPE", "x11".to_owned()),
        ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", path("run/bus"))),
        ("GDK_BACKEND", "x11".to_owned()),
        ("QT_QPA_PLATFORM", "xcb".to_owned()),
        ("ACCESSIBILITY_ENABLED", "1".to_owned()),
        ("GNOME_ACCESSIBILITY", "1".to_owned()),
        ("QT_LINUX_ACCESSIBILITY_ALWAYS_ON", "1".to_owned()),
    ] {
        env.insert(name.to_owned(), value);
    }
    env
}
