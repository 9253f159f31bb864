//! The screen's size, changed while programs look at it.

use x11rb::protocol::randr::{ConnectionExt as _, GetScreenResourcesReply, ModeInfo, Rotation};
use x11rb::protocol::xproto::ConnectionExt as _;

use crate::error::{Code, Problem, Result, x_failed};

use crate::x::Display;

/// Tenths of millimetres in an inch.
const INCH: u32 = 254;

/// Gives the screen another size, and what it says of its resolution.
///
/// # Errors
/// `invalid_argument`: larger than the screen can be made.
pub fn resize(display: &Display, width: u16, height: u16, dpi: u32) -> Result<()> {
    let conn = &display.conn;
    let range =
        conn.randr_get_screen_size_range(display.root).map_err(x_failed)?.reply().map_err(x_failed)?;
    if width > range.max_width || height > range.max_height {
        let message = format!("this desktop is at most {}x{}", range.max_width, range.max_height);
        return Err(Problem::invalid("width", message).hint("start another one of that size"));
    }
    // Nobody is to see the moment without a mode.
    conn.grab_server().map_err(x_failed)?;
    let set = set_mode(display, width, height, dpi);
    conn.ungrab_server().map_err(x_failed)?;
    display.sync()?;
    set
}

fn set_mode(display: &Display, width: u16, height: u16, dpi: u32) -> Result<()> {
    let (conn, root) = (&display.conn, display.root);
    let resources = conn.randr_get_screen_resources(root).map_err(x_failed)?.reply().map_err(x_failed)?;
    let (Some(crtc), Some(output)) = (resources.crtcs.first(), resources.outputs.first()) else {
        return Err(Problem::new(Code::NotStarted, "the X server has no screen whose size can be changed"));
    };
    let mode = mode_of(display, &resources, *output, width, height)?;
    let config = |mode, outputs: &[u32]| -> Result<()> {
        let times = (resources.timestamp, resources.config_timestamp);
        let rotation = Rotation::ROTATE0;
        conn.randr_set_crtc_config(*crtc, times.0, times.1, 0, 0, mode, rotation, outputs)
            .map_err(x_failed)?
            .reply()
            .map(drop)
            .map_err(x_failed)
    };
    config(0, &[])?;
    let millimetres = |pixels: u16| (u32::from(pixels) * INCH / (dpi * 10)).max(1);
    conn.randr_set_screen_size(root, width, height, millimetres(width), millimetres(height))
        .map_err(x_failed)?
        .check()
        .map_err(x_failed)?;
    config(mode, &[*output])
}

/// The mode of this size, made when it is not there.
fn mode_of(
    display: &Display,
    resources: &GetScreenResourcesReply,
    output: u32,
    width: u16,
    height: u16,
) -> Result<u32> {
    if let Some(known) = resources.modes.iter().find(|mode| (mode.width, mode.height) == (width, height)) {
        return Ok(known.id);
    }
    let name = format!("{width}x{height}");
    let name_len = u16::try_from(name.len()).unwrap_or_default();
    let info = ModeInfo { width, height, name_len, ..ModeInfo::default() };
    let conn = &display.conn;
    let made = conn.randr_create_mode(display.root, info, name.as_bytes()).map_err(x_failed)?;
    let mode = made.reply().map_err(x_failed)?.mode;
    conn.randr_add_output_mode(output, mode).map_err(x_failed)?.check().map_err(x_failed)?;
    Ok(mode)
}
