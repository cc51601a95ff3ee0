//! Measurements of steer beside what people use today, on this machine, in labs of network
//! namespaces. Every number that depends on the machine is a ratio to something measured in turn
//! with it; figures come last, one a line.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a bench stay far below 2^52"
)]

mod agent;
mod auto;
mod bpf;
mod churn;
mod cluster;
mod cold;
mod dialler;
mod egress;
mod envoy;
mod gateway;
mod guarded;
mod haproxy;
mod images;
mod l7;
mod latency;
mod paths;
mod picks;
mod program;
mod report;
mod requests;
mod rules;
mod split;
mod supervise;
mod tap;
mod telemetry;
mod throughput;
mod web;
mod worker;

use std::{io, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use steer_tests::{exit, figure, lab::Lab, need};

use crate::report::Report;

/// Measure steer.
#[derive(Clone, Debug, Parser)]
#[command(name = "steer-bench")]
struct Args {
    /// What to measure
    bench: Bench,
    /// The counts behind the published figures, instead of a quick look
    #[arg(long)]
    full: bool,
    /// Keep the figures in this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure in this process, under the eyes of another
    #[arg(long, hide = true)]
    watched: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Bench {
    /// How exact the split is
    Split,
    /// What a connect costs
    Connect,
    /// Requests a second
    Throughput,
    /// How fast a configuration is in the kernel
    Apply,
    /// What the egress guard costs
    Egress,
    /// Requests a second where requests are looked at
    L7,
    /// Whether requests that are looked at are all answered, rightly and whole
    Requests,
    /// Of that, what a mirror costs, and how much is copied
    Tap,
    /// What clients get of weights that keep their connections, and what counting requests costs
    Auto,
    /// Requests a second from outside, at ports of the node
    Gateway,
    /// What a large cluster costs an agent, and its API server
    Cluster,
    /// What it costs to count traffic
    Telemetry,
    /// Dials on command, for `connect`
    #[value(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.bench {
        Bench::Worker => worker::run(),
        _ if args.watched => measure(&args),
        _ => {
            return supervise::run()
                .unwrap_or_else(|error| exit::report("steer-bench", Err(error)));
        }
    };
    exit::report("steer-bench", outcome)
}

fn measure(args: &Args) -> Result<()> {
    need::check()?;
    Lab::sweep_stale()?;
    let mut report = Report::default();
    match args.bench {
        Bench::Split => split::run(args.full, &mut report)?,
        Bench::Connect => {
            program::run(args.full, &mut report)?;
            latency::run(args.full, &mut report)?;
        }
        Bench::Throughput => throughput::run(args.full, &mut report)?,
        Bench::Apply => {
            cold::run(args.full, &mut report)?;
            agent::run(args.full, &mut report)?;
        }
        Bench::Egress => egress::run(args.full, &mut report)?,
        Bench::L7 => l7::run(args.full, &mut report)?,
        Bench::Requests => requests::run(args.full, &mut report)?,
        Bench::Tap => tap::run(args.full, &mut report)?,
        Bench::Auto => auto::run(args.full, &mut report)?,
        Bench::Gateway => gateway::run(args.full, &mut report)?,
        Bench::Cluster => churn::run(args.full, &mut report)?,
        Bench::Telemetry => telemetry::run(args.full, &mut report)?,
        Bench::Worker => {}
    }
    figure::print(io::stdout().lock(), report.figures())?;
    args.json
        .as_deref()
        .map_or(Ok(()), |path| figure::write_json(path, report.figures()))
}
