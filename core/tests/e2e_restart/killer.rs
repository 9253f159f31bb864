//! Ends the daemon at random moments, in several ways, and starts it again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;

use crate::boss::Boss;
use crate::random::Random;
use crate::support::Daemon;

/// Longest wait for an event before a kill.
const NO_EVENT: Duration = Duration::from_millis(150);

/// What was done and measured.
#[derive(Default)]
pub struct Figures {
    kills: u64,
    while_starting: u64,
    stops: u64,
    builds: u64,
    serving: Vec<Duration>,
    following: Vec<Duration>,
    began: Option<Instant>,
}

impl Figures {
    pub fn print(&self) {
        println!(
            "{} kills (of which {} while starting), {} stops, {} changes of build in {:.1} s",
            self.kills,
            self.while_starting,
            self.stops,
            self.builds,
            self.began.map_or(0.0, |began| began.elapsed().as_secs_f64())
        );
        tell("start to serving", &self.serving);
        tell("start to the first event of an adopted worker", &self.following);
    }
}

fn tell(what: &str, times: &[Duration]) {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(f64::NAN);
    println!("{what}: median {:.1} ms, p95 {:.1} ms, of {}", at(50), at(95), times.len());
}

pub struct Killer {
    pub figures: Figures,
    random: Random,
    boss: Arc<Boss>,
}

impl Killer {
    pub fn new(random: Random, boss: Arc<Boss>) -> Self {
        Self { figures: Figures::default(), random, boss }
    }

    /// So many kills, with a stop or another build now and then. The daemon serves at the end.
    pub async fn kill(&mut self, daemon: &mut Daemon, kills: u64) {
        self.figures.began = Some(Instant::now());
        let builds = [daemon.program.clone(), another_build(daemon)];
        while self.figures.kills < kills {
            self.let_live(daemon).await;
            if self.random.one_in(40) {
                daemon.stop().await;
                self.figures.stops += 1;
                if self.random.one_in(2) {
                    let other = usize::from(daemon.program == builds[0]);
                    daemon.program.clone_from(&builds[other]);
                    self.figures.builds += 1;
                }
            } else {
                daemon.kill9();
                self.figures.kills += 1;
            }
            while self.random.one_in(8) {
                let _ready = daemon.launch();
                self.pause(25_000).await;
                daemon.kill9();
                self.figures.kills += 1;
                self.figures.while_starting += 1;
            }
            self.figures.serving.push(daemon.restart().await);
            self.boss.serves_again();
        }
    }

    /// Until the moment at which it shall end: soon, later, after an event, or while a call is on its way.
    async fn let_live(&mut self, daemon: &Daemon) {
        match self.random.below(10) {
            0..=2 => self.pause(4_000).await,
            3..=5 => self.pause(60_000).await,
            6 => {
                let _ = tokio::time::timeout(NO_EVENT, self.boss.sending.notified()).await;
                self.pause(6_000).await;
            }
            7..=8 => {
                let started = Instant::now();
                if tokio::time::timeout(NO_EVENT, an_event(daemon)).await.is_ok() {
                    let serving = self.figures.serving.last().copied().unwrap_or_default();
                    self.figures.following.push(serving + started.elapsed());
                }
                self.pause(2_000).await;
            }
            _ => self.pause(400_000).await,
        }
    }

    /// Less than so many microseconds.
    async fn pause(&mut self, most: u64) {
        let time = Duration::from_micros(self.random.below(most));
        // On a thread: the runtime's own clock only knows whole milliseconds.
        tokio::task::spawn_blocking(move || std::thread::sleep(time)).await.unwrap();
    }
}

/// The next stored event of any worker.
async fn an_event(daemon: &Daemon) {
    let mut stream = Box::pin(daemon.client().stream(None, None).await.unwrap());
    while let Some(Ok(frame)) = stream.next().await {
        if frame.id.is_some() {
            return;
        }
    }
}

/// The same program with another content, hence another build id.
fn another_build(daemon: &Daemon) -> PathBuf {
    let directory = daemon.root().join("other");
    std::fs::create_dir(&directory).unwrap();
    let inside = daemon.program.with_file_name("inside");
    std::os::unix::fs::symlink(inside, directory.join("inside")).unwrap();
    let program = directory.join("sandboxed-sh");
    std::fs::copy(&daemon.program, &program).unwrap();
    let mut file = std::fs::File::options().append(true).open(&program).unwrap();
    std::io::Write::write_all(&mut file, b"another build").unwrap();
    program
}
