//! A screen as somebody at work has it: two terminals full of text, one of them with smooth letters, and a window with a
//! picture of many colours that partly covers them.

use std::time::Duration;

use desktop_mcp::geometry::Rect;
use desktop_mcp::session::Desktop;
use desktop_mcp::wait::still;
use desktop_mcp::x::Display;
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, ImageFormat, WindowClass,
};

/// Long enough for a program to have painted what it wanted to.
const QUIET: Duration = Duration::from_secs(2);
/// The picture's place.
const PICTURE: Rect = Rect { x: 700, y: 380, width: 640, height: 480 };
/// Colour of the screen where nothing is.
const GROUND: u32 = 0x3b_5a78;
/// Rows that go into one request.
const ROWS: usize = 40;

/// Puts windows on the screen; they stay while `Display` lives.
pub async fn furnish(desktop: &Desktop) -> Display {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/act/clipboard.rs");
    for terminal in [
        format!("-fa monospace -fs 11 -geometry 100x48+20+20 -e sh -c 'head -n 120 {source}; exec cat'"),
        "-bg black -fg gray90 -geometry 130x60+1000+20 -e sh -c 'ls -l /usr/bin | head -n 200; exec cat'"
            .into(),
    ] {
        let command = format!("exec xterm {terminal}");
        desktop.launch(&command, ".".into(), &Default::default()).await.unwrap();
    }
    let display = Display::open(desktop.access()).unwrap();
    show_picture(&display);
    let screen = display.size().unwrap();
    still(desktop, screen, QUIET, &mut None).await.unwrap();
    display
}

/// A window whose background is the picture, so that nobody has to paint it again.
fn show_picture(display: &Display) {
    let (conn, root) = (&display.conn, display.root);
    let ground = ChangeWindowAttributesAux::new().background_pixel(GROUND);
    conn.change_window_attributes(root, &ground).unwrap();
    conn.clear_area(false, root, 0, 0, 0, 0).unwrap();
    let [pixmap, gc, window] = [(); 3].map(|()| conn.generate_id().unwrap());
    let (width, height) = (PICTURE.width as u16, PICTURE.height as u16);
    conn.create_pixmap(24, pixmap, root, width, height).unwrap();
    conn.create_gc(gc, pixmap, &CreateGCAux::new()).unwrap();
    let stride = usize::from(width) * 4;
    for (n, rows) in picture().chunks(ROWS * stride).enumerate() {
        let (tall, top) = ((rows.len() / stride) as u16, (n * ROWS) as i16);
        conn.put_image(ImageFormat::Z_PIXMAP, pixmap, gc, width, tall, 0, top, 0, 24, rows).unwrap();
    }
    let look = CreateWindowAux::new().background_pixmap(pixmap).override_redirect(1);
    let (x, y) = (PICTURE.x as i16, PICTURE.y as i16);
    let class = WindowClass::INPUT_OUTPUT;
    conn.create_window(COPY_DEPTH_FROM_PARENT, window, root, x, y, width, height, 0, class, 0, &look)
        .unwrap();
    conn.map_window(window).unwrap();
    display.sync().unwrap();
}

/// Soft shapes with the grain that photographs have.
fn picture() -> Vec<u8> {
    let mut grain = 1_u32;
    let mut pixels = Vec::new();
    for y in 0..PICTURE.height {
        for x in 0..PICTURE.width {
            let (across, down) = (f64::from(x) / 90.0, f64::from(y) / 70.0);
            let waves = [(across + down).sin(), (across * 1.7 - down).cos(), (across * down / 4.0).sin()];
            grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = f64::from(grain >> 24) / 64.0;
            pixels.extend(waves.map(|wave| (128.0 + 100.0 * wave + grain) as u8));
            pixels.push(0);
        }
    }
    pixels
}
