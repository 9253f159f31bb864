//! A program that misbehaves on demand, for tests of sandboxes and supervisors.
//!
//! Each subcommand is one misdeed. All that would last for ever ends by itself after `--seconds`, and the
//! bombs have a limit, so that a failed test leaves nothing behind for long.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use nix::{
    sys::signal::{SigSet, Signal, kill},
    unistd::{Pid, setsid},
};

/// Misbehaves on demand.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    misdeed: Misdeed,
    /// Life span of whatever would last for ever, in seconds.
    #[arg(long, global = true, default_value_t = 300)]
    seconds: u64,
}

#[derive(Subcommand)]
enum Misdeed {
    /// Prints `hanging` and does nothing more.
    Hang,
    /// Blocks SIGTERM and SIGINT, prints `ignoring` and does nothing more.
    IgnoreTerm,
    /// Starts a process in a session of its own, prints `grandchild PID` and exits at once.
    ForkGrandchild,
    /// The process of `fork-grandchild`: leaves its session, prints its pid, closes nothing and stays.
    #[command(hide = true)]
    Grandchild,
    /// Writes that many bytes, in lines of 80.
    Flood {
        /// Bytes in all.
        bytes: u64,
    },
    /// Writes half a line of JSON and kills itself.
    DieMidLine,
    /// Prints 1 to N, each on a line of its own and flushed.
    Numbers {
        /// The last number.
        last: u64,
        /// Milliseconds between two numbers.
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
    },
    /// Starts hanging processes until it is refused, prints `refused after N: REASON` and hangs;
    /// exits 3 when it was never refused.
    ForkBomb {
        /// Most processes started.
        #[arg(long, default_value_t = 4096)]
        limit: u64,
    },
    /// Takes and touches memory, a MiB at a time, printing `N MiB` at every 16; exits 3 when never stopped.
    MemoryBomb {
        /// Most memory taken, in MiB.
        #[arg(long, default_value_t = 1024)]
        limit_mib: usize,
    },
    /// Prints the environment, a sorted `KEY=VALUE` a line.
    PrintEnv,
}

/// Exit status of a bomb that nothing stopped.
const UNSTOPPED: i32 = 3;

fn main() -> anyhow::Result<()> {
    let Args { misdeed, seconds } = Args::parse();
    let life = Duration::from_secs(seconds);
    match misdeed {
        Misdeed::Hang => hang("hanging", life),
        Misdeed::IgnoreTerm => ignore_term(life),
        Misdeed::ForkGrandchild => fork_grandchild(seconds),
        Misdeed::Grandchild => {
            setsid().context("setsid")?;
            hang(&std::process::id().to_string(), life)
        }
        Misdeed::Flood { bytes } => flood(bytes),
        Misdeed::DieMidLine => die_mid_line(),
        Misdeed::Numbers { last, delay_ms } => numbers(last, Duration::from_millis(delay_ms)),
        Misdeed::ForkBomb { limit } => fork_bomb(limit, seconds),
        Misdeed::MemoryBomb { limit_mib } => memory_bomb(limit_mib),
        Misdeed::PrintEnv => print_env(),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn hang(word: &str, life: Duration) -> anyhow::Result<()> {
    say(word)?;
    thread::sleep(life);
    Ok(())
}

fn ignore_term(life: Duration) -> anyhow::Result<()> {
    // Blocked in the only thread there is: the signals stay pending for ever.
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect::<SigSet>().thread_block()?;
    hang("ignoring", life)
}

/// Starts this program again with another misdeed.
fn start(misdeed: &str, seconds: u64, stdout: Stdio) -> io::Result<Child> {
    let program = std::env::current_exe()?;
    Command::new(program).arg(misdeed).args(["--seconds", &seconds.to_string()]).stdout(stdout).spawn()
}

fn fork_grandchild(seconds: u64) -> anyhow::Result<()> {
    let mut child = start("grandchild", seconds, Stdio::piped())?;
    // Its first line comes after setsid: whoever reads ours finds it out of reach already.
    let mut first = String::new();
    let stdout = child.stdout.take().context("no pipe")?;
    io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut first)?;
    say(&format!("grandchild {}", first.trim()))
}

fn flood(bytes: u64) -> anyhow::Result<()> {
    const LINE: usize = 80;
    let mut line = [b'x'; LINE];
    line[LINE - 1] = b'\n';
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).map_or(LINE, |left| left.min(LINE));
        out.write_all(&line[LINE - piece..])?;
        left -= piece as u64;
    }
    Ok(out.flush()?)
}

fn die_mid_line() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b"{\"type\":\"whole\"}\n{\"type\":\"half\",\"text\":\"and the")?;
    out.flush()?;
    Ok(kill(Pid::this(), Signal::SIGKILL)?)
}

fn numbers(last: u64, delay: Duration) -> anyhow::Result<()> {
    for number in 1..=last {
        if number > 1 && !delay.is_zero() {
            thread::sleep(delay);
        }
        say(&number.to_string())?;
    }
    Ok(())
}

fn fork_bomb(limit: u64, seconds: u64) -> anyhow::Result<()> {
    for started in 0..limit {
        // The child is left alone on purpose: it ends with its own life span or with its sandbox.
        if let Err(error) = start("hang", seconds, Stdio::null()) {
            return hang(&format!("refused after {started}: {error}"), Duration::from_secs(seconds));
        }
    }
    say(&format!("not refused within {limit}"))?;
    std::process::exit(UNSTOPPED)
}

fn memory_bomb(limit_mib: usize) -> anyhow::Result<()> {
    const MIB: usize = 1 << 20;
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for mib in 1..=limit_mib {
        // Not zero: untouched zero pages would cost nothing.
        taken.push(std::hint::black_box(vec![1; MIB]));
        if mib % 16 == 0 {
            say(&format!("{mib} MiB"))?;
        }
    }
    std::process::exit(UNSTOPPED)
}

fn print_env() -> anyhow::Result<()> {
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    variables.sort();
    let mut out = io::stdout().lock();
    for (key, value) in variables {
        out.write_all(&[key.as_bytes(), b"=", value.as_bytes(), b"\n"].concat())?;
    }
    Ok(out.flush()?)
}
