//! How long hands and eyes take, beside the tools that others use, in the same run on the same desktop.
//!
//! `cargo bench -p desktop-mcp`; prints p50 and p99 in milliseconds. Peers that are not installed are left out:
//! `apt-get install scrot imagemagick xdotool`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and stops at the first fault"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use desktop_mcp::act::{Button, Direction, click, scroll, type_text};
use desktop_mcp::geometry::Rect;
use desktop_mcp::see::{Format, Shot, take};
use desktop_mcp::session::{Desktop, Desktops, Wish, find_program};
use rmcp::{
    RoleClient, ServiceExt, model::CallToolRequestParams, service::RunningService,
    transport::TokioChildProcess,
};
use serde_json::{Value, json};

mod work;

const ROUNDS: u32 = 40;
const SCREEN: Wish = Wish { width: 1920, height: 1080, dpi: 96 };

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let desktops = Desktops::kept_by(env!("CARGO_BIN_EXE_desktop-mcp").into());
        starts(&desktops).await;
        let desktop = desktops.start(SCREEN).await.unwrap();
        let furniture = work::furnish(&desktop).await;
        println!("\n1920x1080, {ROUNDS} rounds, taken in turns");
        screenshots(&desktop).await;
        drop((furniture, desktop));
        desktops.stop_all().await;
        let desktop = desktops.start(SCREEN).await.unwrap();
        input(&desktop).await;
        drop(desktop);
        desktops.stop_all().await;
        over_mcp().await;
    });
}

async fn starts(desktops: &Desktops) {
    let (mut start, mut stop) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let started = Instant::now();
        let desktop = desktops.start(SCREEN).await.unwrap();
        start.push(started.elapsed());
        let id = desktop.id().to_owned();
        drop(desktop);
        let stopped = Instant::now();
        desktops.stop(&id).await.unwrap();
        stop.push(stopped.elapsed());
    }
    report("desktop: start to ready", start);
    report("desktop: stop to nothing left", stop);
}

async fn screenshots(desktop: &Desktop) {
    let file = desktop.directory().join("shot.png");
    let (mut look, mut png, mut jpeg, mut same, mut scrot, mut import) =
        <(Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    let area = Rect::new(0, 0, 1920, 1080);
    let shot = move |format, only_changes| Shot {
        area,
        longest: u32::MAX,
        pointer: false,
        only_changes,
        format,
        quality: 80,
    };
    for _ in 0..ROUNDS {
        look.push(timed(desktop.eyes().run(move |eyes| eyes.look(area).map(drop))).await);
        let to = file.clone();
        let whole = desktop.eyes().run(move |eyes| {
            let (_, bytes) = take(eyes, shot(Format::Png, false))?.picture.unwrap();
            std::fs::write(to, bytes).unwrap();
            Ok(())
        });
        png.push(timed(whole).await);
        jpeg.push(
            timed(desktop.eyes().run(move |eyes| take(eyes, shot(Format::Jpeg, false)).map(drop))).await,
        );
        same.push(timed(desktop.eyes().run(move |eyes| take(eyes, shot(Format::Png, true)).map(drop))).await);
        peer(desktop, &mut scrot, "scrot", &["-o", file.to_str().unwrap()]);
        peer(desktop, &mut import, "import", &["-window", "root", file.to_str().unwrap()]);
    }
    let ours = report("screenshot: pixels only", look).min(report("screenshot to a PNG file", png.clone()));
    assert!(ours > 0.0);
    report("screenshot as JPEG", jpeg);
    report("screenshot: unchanged", same);
    ratio("scrot", scrot, &png);
    ratio("import", import, &png);
}

async fn input(desktop: &Desktop) {
    let terminal = desktop
        .launch("exec xterm -geometry 80x24+0+0 -e cat", ".".into(), &Default::default())
        .await
        .unwrap();
    while desktop.hands().run(|hands| hands.focus()).await.is_err() {
        desktop.happenings().listen().recv().await.unwrap();
    }
    let text = "The quick brown fox jumps over the lazy dog; 0123456789 (twice): THE QUICK BROWN FOX jumps over it!! ";
    let (mut clicks, mut scrolls, mut types) = (Vec::new(), Vec::new(), Vec::new());
    let (mut their_clicks, mut their_types) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS.cast_signed() {
        let at = (900 + round, 600 + round);
        clicks.push(
            timed(desktop.hands().run(move |hands| click(hands, Some(at), Button::Left, 1, &[]))).await,
        );
        let down = Direction::Down;
        scrolls.push(timed(desktop.hands().run(move |hands| scroll(hands, Some(at), down, 10, &[]))).await);
        types.push(timed(async { type_text(desktop, text).await.map(drop) }).await);
        let (x, y) = (at.0.to_string(), at.1.to_string());
        peer(desktop, &mut their_clicks, "xdotool", &["mousemove", &x, &y, "click", "1"]);
        peer(desktop, &mut their_types, "xdotool", &["type", text]);
    }
    drop(terminal);
    report("move and click", clicks.clone());
    ratio("xdotool mousemove click", their_clicks, &clicks);
    report("scroll by 10", scrolls);
    report("type 101 characters, taken in", types.clone());
    ratio("xdotool type", their_types, &types);
}

/// What a client waits for.
async fn over_mcp() {
    println!("\nover MCP on stdio, 1920x1080 shown as 1568x882");
    let server = tokio::process::Command::new(env!("CARGO_BIN_EXE_desktop-mcp"));
    let client = ().serve(TokioChildProcess::new(server).unwrap()).await.unwrap();
    call(&client, "start_desktop", json!({"width": 1920, "height": 1080})).await;
    let (mut shots, mut clicks, mut windows) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        shots.push(timed_call(&client, "screenshot", json!({})).await);
        let click = json!({"action": "left_click", "coordinate": [900 + round, 500]});
        clicks.push(timed_call(&client, "computer", click).await);
        windows.push(timed_call(&client, "list_windows", json!({})).await);
    }
    report("screenshot", shots);
    report("computer left_click", clicks);
    report("list_windows", windows);
    client.cancel().await.unwrap();
}

async fn call(client: &RunningService<RoleClient, ()>, tool: &'static str, arguments: Value) {
    let params = CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone());
    assert_ne!(client.call_tool(params).await.unwrap().is_error, Some(true));
}

async fn timed_call(
    client: &RunningService<RoleClient, ()>,
    tool: &'static str,
    arguments: Value,
) -> Duration {
    let started = Instant::now();
    call(client, tool, arguments).await;
    started.elapsed()
}

async fn timed(work: impl Future<Output = Result<(), desktop_mcp::error::Problem>>) -> Duration {
    let started = Instant::now();
    work.await.unwrap();
    started.elapsed()
}

fn peer(desktop: &Desktop, times: &mut Vec<Duration>, program: &str, args: &[&str]) {
    let Ok(path) = find_program(program) else { return };
    let mut command = Command::new(path);
    command.args(args).env_clear().envs(desktop.env()).stdout(Stdio::null());
    let started = Instant::now();
    assert!(command.status().unwrap().success(), "{program} {args:?}");
    times.push(started.elapsed());
}

fn ratio(what: &str, theirs: Vec<Duration>, ours: &[Duration]) {
    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    if theirs.is_empty() {
        println!("{what:<36} not installed");
        return;
    }
    let times = median(&theirs) / median(ours);
    report(what, theirs);
    println!("{:<36} {times:8.1} times ours", "");
}

fn report(what: &str, mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q).round() as usize].as_secs_f64() * 1000.0;
    println!("{what:<36} p50 {:8.2}  p99 {:8.2}", at(0.5), at(0.99));
    at(0.5)
}
