//! Whose window is at a place. Programs tell where their elements are as far as they know themselves, which right after
//! a window was opened or moved is not yet where it is; the X server knows.

use x11rb::connection::Connection;
use x11rb::protocol::res::{ClientIdMask, ClientIdSpec, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, Window};

use crate::error::{Result, x_failed};
use crate::x::Display;

/// Deepest that windows are in one another.
const DEEPEST: usize = 32;

/// Whether what is at a place is a window of this process; nothing when the process itself shows none, as its windows
/// may be another's then.
///
/// # Errors
/// `desktop_ended`.
pub fn is_at(display: &Display, process: u32, at: (i32, i32)) -> Result<Option<bool>> {
    let clients = clients_of(display, process)?;
    if clients.is_empty() {
        return Ok(None);
    }
    // The resources of a client have its number, but for the bits that count them.
    let counted = display.conn.setup().resource_id_mask;
    let owned = |window: &Window| clients.contains(&(window & !counted));
    Ok(Some(windows_at(display, at)?.iter().any(owned)))
}

/// Connections of a process, as the numbers that all their resources have in common.
fn clients_of(display: &Display, process: u32) -> Result<Vec<u32>> {
    let all = [ClientIdSpec { client: 0, mask: ClientIdMask::LOCAL_CLIENT_PID }];
    let clients = display.conn.res_query_client_ids(&all).map_err(x_failed)?.reply().map_err(x_failed)?;
    let of_process = clients.ids.iter().filter(|id| id.value.first() == Some(&process));
    Ok(of_process.map(|id| id.spec.client).collect())
}

/// The windows at a place, from the frame inwards.
///
/// # Errors
/// `desktop_ended`.
pub fn windows_at(display: &Display, (x, y): (i32, i32)) -> Result<Vec<Window>> {
    let (x, y) = (i16::try_from(x).unwrap_or(i16::MAX), i16::try_from(y).unwrap_or(i16::MAX));
    let (conn, root) = (&display.conn, display.root);
    let (mut found, mut within) = (Vec::new(), root);
    while found.len() < DEEPEST {
        let place = conn.translate_coordinates(root, within, x, y).map_err(x_failed)?;
        match place.reply() {
            Ok(place) if place.child != 0 => within = place.child,
            // The last has none within, or went meanwhile.
            Ok(_) | Err(x11rb::errors::ReplyError::X11Error(_)) => break,
            Err(error) => return Err(x_failed(error)),
        }
        found.push(within);
    }
    Ok(found)
}
