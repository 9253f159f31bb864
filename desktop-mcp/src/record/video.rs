//! A video by ffmpeg: it gets JPEG frames on its input as they are taken, each with the time at which it came, and
//! writes the file. It ends by itself when its input does, so it does not outlive this server.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::task::AbortOnDropHandle;

use super::recording::create;
use crate::error::{Code, Problem, Result};
use crate::see::{Format, Frame, encode};
use crate::session::find_program;

/// Quality of the frames on their way.
const QUALITY: u8 = 90;
/// Longest time that it takes for one frame, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most of its words that are kept.
const WORDS: u64 = 64 << 10;

/// A running ffmpeg.
pub struct Video {
    child: Child,
    /// Closed at the end: that is what ends it.
    stdin: Option<ChildStdin>,
    group: Option<Pid>,
    words: AbortOnDropHandle<String>,
    file: std::path::PathBuf,
    last: Vec<u8>,
    frames: u32,
}

impl Drop for Video {
    fn drop(&mut self) {
        if let Some(leader) = self.group {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Video {
    /// Begins with a frame.
    ///
    /// # Errors
    /// `not_installed`, `already_exists`, or what ffmpeg says.
    pub async fn begin(file: &Path, first: Frame, frames_per_second: u32) -> Result<Self> {
        let program = find_program("ffmpeg")?;
        // Nobody else's file is overwritten.
        drop(create(file)?);
        let rate = frames_per_second.to_string();
        let mut command = Command::new(program);
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-f", "mjpeg"]);
        // Frames come when something was painted: their times are those at which they come.
        command.args(["-use_wallclock_as_timestamps", "1", "-i", "pipe:0", "-vsync", "vfr", "-r", &rate]);
        // Codecs want even sides.
        command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-threads", "1"]);
        command.arg("-an").arg(file);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let failed = |error| Problem::system("run", "ffmpeg", error);
        let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let stdin = child.stdin.take();
        let stderr = child.stderr.take();
        let words = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut words = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = (&mut stderr).take(WORDS).read_to_end(&mut words).await;
                // The rest is not kept, but must not stop it.
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
            String::from_utf8_lossy(&words).into_owned()
        }));
        let file = file.to_owned();
        let mut video = Self { child, stdin, group, words, file, last: Vec::new(), frames: 0 };
        video.add(first).await?;
        Ok(video)
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// ffmpeg ended or hangs.
    pub async fn add(&mut self, frame: Frame) -> Result<()> {
        let made = tokio::task::spawn_blocking(move || encode(&frame, Format::Jpeg, QUALITY));
        self.last = made.await.map_err(Problem::internal)??;
        self.give().await
    }

    async fn give(&mut self) -> Result<()> {
        self.frames += 1;
        let stdin = self.stdin.as_mut().ok_or_else(|| Problem::internal("ffmpeg has no input any more"))?;
        match tokio::time::timeout(PATIENCE, stdin.write_all(&self.last)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                let words = (&mut self.words).await.unwrap_or_default();
                Err(Problem::new(Code::IoError, format!("ffmpeg ended: {}", last_words(&words))))
            }
            Err(_) => Err(Problem::new(Code::TimedOut, "ffmpeg does not read its input")),
        }
    }

    /// Bytes of the file so far.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |data| data.len())
    }

    /// Ends it; the last frame is shown until now.
    ///
    /// # Errors
    /// What ffmpeg says.
    pub async fn finish(mut self) -> Result<(u64, u32)> {
        self.give().await?;
        let frames = self.frames - 1;
        drop(self.stdin.take());
        let ended = async {
            let status =
                self.child.wait().await.map_err(|error| Problem::system("wait for", "ffmpeg", error))?;
            Ok((status, (&mut self.words).await.unwrap_or_default()))
        };
        let (status, words) = tokio::time::timeout(PATIENCE, ended)
            .await
            .unwrap_or_else(|_| Err(Problem::new(Code::TimedOut, "ffmpeg does not end")))?;
        // Its number may soon be another's.
        self.group = None;
        if !status.success() {
            return Err(Problem::new(Code::IoError, format!("ffmpeg failed: {}", last_words(&words))));
        }
        Ok((self.bytes(), frames))
    }
}

fn last_words(words: &str) -> String {
    let lines: Vec<&str> = words.lines().collect();
    lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join("; ").chars().take(400).collect()
}
