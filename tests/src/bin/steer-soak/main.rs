//! `steer-soak`: the agent is killed, upgraded and downgraded again and again while clients connect;
//! in the end nothing is left of it.

mod clients;
mod field;
mod pulse;
mod rounds;
mod traces;

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::Parser;
use steer_tests::{exit, figure, lab::Lab, need};

/// Kill, upgrade and downgrade the agent under connections
#[derive(Debug, Parser)]
#[command(name = "steer-soak")]
struct Args {
    /// How many rounds
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Another build of steer, to upgrade to and downgrade from
    #[arg(long, value_name = "FILE", env = "STEER_SECOND")]
    second: Option<PathBuf>,
    /// Write the figures to a file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep one connection alive and say how it goes: what the soak runs in a pod
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pulse: Option<SocketAddr>,
}

fn main() -> ExitCode {
    exit::report("steer-soak", run())
}

fn run() -> Result<()> {
    let args = Args::parse();
    if let Some(target) = args.pulse {
        return pulse::run(target);
    }
    need::check()?;
    Lab::sweep_stale()?;
    let figures = rounds::soak(args.rounds, args.second.as_deref())?;
    figure::print(io::stdout().lock(), &figures)?;
    if let Some(file) = &args.json {
        figure::write_json(file, &figures)?;
    }
    if figures.iter().any(|figure| figure.met() == Some(false)) {
        bail!("a goal was missed");
    }
    Ok(())
}
