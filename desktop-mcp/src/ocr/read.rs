//! Runs Tesseract on the screen: as a child that is killed with all it started when it takes too long or nobody waits
//! for it any more.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::lines::{Line, parse};
use crate::error::{Code, Problem, Result};
use crate::geometry::Rect;
use crate::see::{Frame, scaled};
use crate::session::{Desktop, find_program};

/// The language that Tesseract always has.
pub const ENGLISH: &str = "eng";
/// Longest time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest table, in bytes.
const LONGEST: u64 = 8 << 20;
/// How much larger than the screen the picture is: letters on screens are smaller than what Tesseract was taught on.
const SCALE: u32 = 2;
/// Text anywhere, in no order: a screen is no page.
const SPARSE: &str = "11";

/// Reads the text in a part of the screen.
///
/// # Errors
/// `not_installed`, with the package; `timed_out`; `off_screen`.
pub async fn read_screen(desktop: &Desktop, area: Rect, language: &str) -> Result<Vec<Line>> {
    find_program("tesseract")?;
    let frame = desktop.eyes().run(move |eyes| eyes.look(area)).await?;
    let corner = (frame.area.x, frame.area.y);
    let picture = tokio::task::spawn_blocking(move || picture(&frame)).await.map_err(Problem::internal)??;
    let table = tokio::time::timeout(PATIENCE, run(&picture, language)).await.unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        let message = format!("tesseract is not done after {seconds} seconds");
        Err(Problem::new(Code::TimedOut, message).hint("read a smaller region"))
    })?;
    Ok(parse(&table, corner, SCALE))
}

/// As a portable grey map, the plainest format that Tesseract reads.
fn picture(frame: &Frame) -> Result<Vec<u8>> {
    let large = scaled(frame, frame.area.width * SCALE, frame.area.height * SCALE)?;
    let mut file = format!("P5\n{} {}\n255\n", large.area.width, large.area.height).into_bytes();
    file.extend(large.pixels.chunks_exact(4).map(|pixel| {
        let weighed = u32::from(pixel[0]) * 29 + u32::from(pixel[1]) * 150 + u32::from(pixel[2]) * 77;
        (weighed >> 8).min(255) as u8
    }));
    Ok(file)
}

/// Ends the whole group of a child.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn run(picture: &[u8], language: &str) -> Result<String> {
    let failed = |error| Problem::system("run", "tesseract", error);
    let mut command = Command::new("tesseract");
    command.args(["stdin", "stdout", "--psm", SPARSE, "-l", language, "tsv"]);
    // Its threads only get into each other's way.
    command.env("OMP_THREAD_LIMIT", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (table, words) = talk(&mut child, picture).await.map_err(failed)?;
    let status = child.wait().await.map_err(failed)?;
    // Its number may soon be another's.
    group.0 = None;
    if status.success() {
        return Ok(table);
    }
    let words: String =
        words.lines().rev().take(3).collect::<Vec<_>>().join("; ").chars().take(300).collect();
    if words.contains("language") {
        return Err(Problem::invalid("language", format!("tesseract has no language {language:?}"))
            .hint(format!("install it: apt-get install tesseract-ocr-{language}")));
    }
    Err(Problem::new(Code::IoError, format!("tesseract failed: {words}")))
}

async fn talk(child: &mut Child, picture: &[u8]) -> std::io::Result<(String, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let give = async {
        if let Some(mut stdin) = stdin {
            // It may say no before it has read all.
            let _ = stdin.write_all(picture).await;
        }
        Ok(())
    };
    let (mut table, mut words) = (Vec::new(), Vec::new());
    let take = async {
        match stdout {
            Some(stdout) => stdout.take(LONGEST).read_to_end(&mut table).await,
            None => Ok(0),
        }
    };
    let hear = async {
        match stderr {
            Some(stderr) => stderr.take(LONGEST).read_to_end(&mut words).await,
            None => Ok(0),
        }
    };
    tokio::try_join!(give, take, hear)?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(table), text(words)))
}
