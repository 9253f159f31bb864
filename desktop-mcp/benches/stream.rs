//! What the live picture costs: the processor time of the server while a screen of 1280×720 changes as a whole 30 times a
//! second and one, four or sixteen watch, and while it is still.
//!
//! `cargo bench -p desktop-mcp --bench stream`; prints frames a second, megabytes a second and percents of one core.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and stops at the first fault"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rmcp::{
    RoleClient, ServiceExt, model::CallToolRequestParams, service::RunningService,
    transport::TokioChildProcess,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, ImageFormat};
use x11rb::wrapper::ConnectionExt as _;

const WIDTH: u16 = 1280;
const HEIGHT: u16 = 720;
/// Rows that go into one request.
const ROWS: u16 = 40;
/// Different pictures that are painted in turns.
const PICTURES: u16 = 8;
const RATE: u32 = 30;
const MEASURED: Duration = Duration::from_secs(8);

fn main() {
    if std::env::args().nth(1).as_deref() == Some("paint") {
        return paint();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

/// Paints the whole screen again and again, in a process of its own.
fn paint() {
    let (conn, screen) = x11rb::connect(None).unwrap();
    let root = conn.setup().roots[screen].root;
    let gc = conn.generate_id().unwrap();
    conn.create_gc(gc, root, &CreateGCAux::new()).unwrap();
    let pixel = |x: u16, y: u16, time: u16| {
        let (moved, slow) = (x + 40 * time, y / 3 + time);
        let text = (moved / 7).is_multiple_of(3)
            && (y / 11).is_multiple_of(2)
            && (u32::from(moved) * u32::from(y)) % 5 < 2;
        let picture = (moved / 400 + y / 300).is_multiple_of(3);
        match (text, picture) {
            (true, _) => [20, 20, 20, 0],
            (_, true) => [(moved / 3) as u8, slow as u8, ((u32::from(moved) * u32::from(y)) >> 9) as u8, 0],
            _ => [250, 250, 250, 0],
        }
    };
    let picture = |time: u16| -> Vec<u8> {
        (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| pixel(x, y, time))).collect()
    };
    let pictures: Vec<Vec<u8>> = (0..PICTURES).map(picture).collect();
    let strip = usize::from(WIDTH) * usize::from(ROWS) * 4;
    let mut due = Instant::now();
    for picture in pictures.iter().cycle() {
        for (n, data) in (0..).zip(picture.chunks(strip)) {
            let top = n * ROWS.cast_signed();
            conn.put_image(ImageFormat::Z_PIXMAP, root, gc, WIDTH, ROWS, 0, top, 0, 24, data).unwrap();
        }
        // The desktop's end is this program's.
        if conn.sync().is_err() {
            return;
        }
        due += Duration::from_secs(1) / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

async fn measure() {
    let server = tokio::process::Command::new(env!("CARGO_BIN_EXE_desktop-mcp"));
    let server = TokioChildProcess::new(server).unwrap();
    let pid = server.id().unwrap();
    let client = ().serve(server).await.unwrap();
    call(&client, "start_desktop", json!({"width": WIDTH, "height": HEIGHT})).await;
    let live = call(&client, "stream", json!({})).await;
    let (url, file) = (live["url"].as_str().unwrap(), live["token_file"].as_str().unwrap());
    let token = std::fs::read_to_string(file).unwrap();
    println!("1280x720, painted as a whole {RATE} times a second; {} s each", MEASURED.as_secs());
    let still = watch(url, &token, 1).await;
    report("still, 1 watches", pid, &still).await;
    drop(still);
    let painter = format!("exec {} paint", std::env::current_exe().unwrap().display());
    call(&client, "launch_program", json!({"command": painter, "wait_seconds": 0})).await;
    report("nobody watches", pid, &Seen::default()).await;
    for count in [1, 4, 16] {
        let seen = watch(url, &token, count).await;
        report(&format!("{count} watch"), pid, &seen).await;
    }
    client.cancel().await.unwrap();
}

/// What viewers have seen; they leave with it.
#[derive(Default)]
struct Seen {
    frames: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    viewers: tokio::task::JoinSet<()>,
    count: u64,
}

async fn watch(url: &str, token: &str, count: u64) -> Seen {
    let mut seen = Seen { count, ..Seen::default() };
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let request = format!("GET /{path}?token={} HTTP/1.1\r\nHost: {host}\r\n\r\n", token.trim());
    for _ in 0..count {
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let (frames, bytes) = (Arc::clone(&seen.frames), Arc::clone(&seen.bytes));
        seen.viewers.spawn(async move {
            let mut stream = BufReader::with_capacity(256 << 10, stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                if let Some(length) = line.trim_end().strip_prefix("Content-Length: ") {
                    let mut frame = vec![0; length.parse::<usize>().unwrap() + 2];
                    if stream.read_exact(&mut frame).await.is_err() {
                        return;
                    }
                    frames.fetch_add(1, Ordering::Relaxed);
                    bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
                }
                line.clear();
            }
        });
    }
    seen
}

async fn report(what: &str, pid: u32, seen: &Seen) {
    // The first frames come at once.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let told = || (seen.frames.load(Ordering::Relaxed), seen.bytes.load(Ordering::Relaxed), used(pid));
    let (begun, before) = (Instant::now(), told());
    tokio::time::sleep(MEASURED).await;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), told());
    let viewers = seen.count.max(1) as f64;
    let frames = (after.0 - before.0) as f64 / viewers / seconds;
    let megabytes = (after.1 - before.1) as f64 / viewers / seconds / 1e6;
    let core = 100.0 * (after.2 - before.2) / seconds;
    println!("{what:<20} {frames:5.1} frames/s  {megabytes:5.2} MB/s  {core:5.1} % of a core");
}

/// Processor time of a process in seconds.
fn used(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

async fn call(client: &RunningService<RoleClient, ()>, tool: &'static str, arguments: Value) -> Value {
    let params = CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone());
    let answer = client.call_tool(params).await.unwrap();
    assert_ne!(answer.is_error, Some(true), "{answer:?}");
    answer.structured_content.unwrap_or_default()
}
