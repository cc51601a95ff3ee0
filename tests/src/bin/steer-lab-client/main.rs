//! Dials services as fast as it can and prints what came of each attempt, one JSON line each, or
//! with `--summary` one line for all.

mod attempt;
mod summary;

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use steer_tests::{client::Manner, exit};

use crate::{attempt::Dialler, summary::Summary};

/// Lines are handed over in pieces of about this many bytes.
const PIECE: usize = 64 * 1024;
/// Room for the longest line.
const LINE_MAX: usize = 1024;

/// Client of the lab.
#[derive(Clone, Debug, Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(name = "steer-lab-client")]
struct Args {
    /// What to dial; several are dialled in turn
    #[arg(long = "target", value_name = "ADDRESS:PORT", required = true)]
    targets: Vec<SocketAddr>,
    /// Address to dial from; several are used in turn
    #[arg(long = "source", value_name = "ADDRESS")]
    sources: Vec<IpAddr>,
    /// tcp, udp or udp-connected
    #[arg(long, default_value = "tcp", value_parser = parse_manner)]
    manner: Manner,
    /// Dial IPv4 from an IPv6 socket
    #[arg(long)]
    mapped: bool,
    /// Attempts of each thread
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Go on until standard input ends, whatever the count
    #[arg(long)]
    until_eof: bool,
    /// Threads that dial
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Attempts of each thread in a second; as many as possible if not given
    #[arg(long)]
    rate: Option<u32>,
    /// How long a call may take
    #[arg(long, default_value_t = 5000)]
    timeout_ms: u64,
    /// Do not wait for what the server says
    #[arg(long)]
    mute: bool,
    /// Print one line for all attempts
    #[arg(long)]
    summary: bool,
}

fn parse_manner(word: &str) -> Result<Manner> {
    match word {
        "tcp" => Ok(Manner::Tcp),
        "udp" => Ok(Manner::Udp),
        "udp-connected" => Ok(Manner::UdpConnected),
        _ => Err(anyhow!("not one of tcp, udp, udp-connected")),
    }
}

fn main() -> ExitCode {
    exit::report("steer-lab-client", run())
}

fn run() -> Result<()> {
    let args = Args::parse();
    let stop = AtomicBool::new(false);
    let summary = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads)
            .map(|number| {
                scope.spawn({
                    let (args, stop) = (&args, &stop);
                    move || dial(args, number, stop)
                })
            })
            .collect();
        if args.until_eof {
            let waited = io::stdin()
                .read_to_end(&mut Vec::new())
                .context("wait for the end");
            stop.store(true, Ordering::Relaxed);
            waited?;
        }
        let mut summary = Summary::default();
        for thread in threads {
            summary.add(thread.join().map_err(|_| anyhow!("a thread panicked"))??);
        }
        Ok::<_, anyhow::Error>(summary)
    })?;
    if args.summary {
        let mut line = serde_json::to_vec(&summary.report())?;
        line.push(b'\n');
        io::stdout().write_all(&line)?;
    }
    Ok(())
}

/// The attempts of one thread.
fn dial(args: &Args, number: u32, stop: &AtomicBool) -> Result<Summary> {
    let dialler = Dialler {
        manner: args.manner,
        mapped: args.mapped,
        mute: args.mute,
        timeout: Duration::from_millis(args.timeout_ms),
    };
    let mut pace = args
        .rate
        .map(|rate| Pace::new(Duration::from_secs(1) / rate.max(1)));
    let mut summary = Summary::default();
    let mut lines = Vec::with_capacity(PIECE + LINE_MAX);
    for (n, target) in (0..).zip(args.targets.iter().cycle()) {
        if if args.until_eof {
            stop.load(Ordering::Relaxed)
        } else {
            n == args.count
        } {
            break;
        }
        if let Some(pace) = &mut pace {
            pace.wait();
        }
        let source = usize::try_from(n)?
            .checked_rem(args.sources.len())
            .map(|at| args.sources[at]);
        let attempt = dialler.attempt(number, n, *target, source);
        if args.summary {
            summary.count(&attempt);
            continue;
        }
        serde_json::to_writer(&mut lines, &attempt)?;
        lines.push(b'\n');
        if lines.len() > PIECE {
            io::stdout().lock().write_all(&lines)?;
            lines.clear();
        }
    }
    let mut out = io::stdout().lock();
    out.write_all(&lines)?;
    out.flush()?;
    Ok(summary)
}

/// Keeps attempts a fixed time apart, without drifting.
struct Pace {
    next: std::time::Instant,
    step: Duration,
}

impl Pace {
    fn new(step: Duration) -> Self {
        Self {
            next: std::time::Instant::now(),
            step,
        }
    }

    fn wait(&mut self) {
        thread::sleep(
            self.next
                .saturating_duration_since(std::time::Instant::now()),
        );
        self.next += self.step;
    }
}
