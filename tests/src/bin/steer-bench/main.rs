//! Measurements of steer beside what people use today, on this machine, in labs of network
//! namespaces. Figures come last, one a line: `figure NAME VALUE`.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a bench stay far below 2^52"
)]

mod apply;
mod connect;
mod envoy;
mod figures;
mod images;
mod latency;
mod rules;
mod split;
mod stub;
mod throughput;
mod worker;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use steer_tests::exit;

use crate::figures::Figures;

/// Measure steer.
#[derive(Debug, Parser)]
#[command(name = "steer-bench")]
struct Args {
    /// What to measure
    bench: Bench,
    /// The counts of the documents, instead of a quick look
    #[arg(long)]
    full: bool,
    /// Keep the figures in this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bench {
    /// How exact the split is
    Split,
    /// What a connect costs
    Connect,
    /// Requests a second
    Throughput,
    /// How fast a configuration is in the kernel
    Apply,
    /// Dials on command, for `connect`
    #[value(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    exit::report("steer-bench", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let mut figures = Figures::default();
    match args.bench {
        Bench::Split => split::run(args.full, &mut figures)?,
        Bench::Connect => {
            connect::run(args.full, &mut figures)?;
            latency::run(args.full, &mut figures)?;
        }
        Bench::Throughput => throughput::run(args.full, &mut figures)?,
        Bench::Apply => apply::run(args.full, &mut figures)?,
        Bench::Worker => return worker::run(),
    }
    figures.print();
    args.json
        .as_deref()
        .map_or(Ok(()), |path| figures.write(path))
}
