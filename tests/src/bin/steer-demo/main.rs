//! `steer-demo`: the acceptance steps on a lab, shown to a person and judged.

mod change;
mod clients;
mod egress;
mod gateway;
mod kept;
mod knock;
mod play;
mod report;
mod source;
mod stage;
mod supervise;
mod tally;
mod walk;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;
use steer_tests::need;

use crate::{report::Report, stage::Stage, walk::Walk};

/// Raises a lab, starts the agent, walks the acceptance steps with real clients.
#[derive(Debug, Parser)]
#[command(name = "steer-demo")]
struct Args {
    /// Leave the lab and its agent standing at the end
    #[arg(long)]
    keep: bool,
    /// Name of the lab
    #[arg(long, default_value = "demo")]
    name: String,
    /// Give the agent an API server with the manifests, as in a cluster, instead of files
    #[arg(long, conflicts_with = "keep")]
    kubernetes: bool,
    /// Walk in this process: another one watches over it
    #[arg(long, hide = true)]
    watched: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = if args.watched {
        walk(&args)
    } else {
        supervise::run(&args.name, &args.more())
    };
    outcome.unwrap_or_else(|error| steer_tests::exit::report("steer-demo", Err(error)))
}

impl Args {
    /// What the process that walks is told besides the name.
    fn more(&self) -> Vec<&'static str> {
        let flags = [(self.keep, "--keep"), (self.kubernetes, "--kubernetes")];
        let given = flags.into_iter().filter(|(given, _)| *given);
        given.map(|(_, flag)| flag).collect()
    }
}

fn walk(args: &Args) -> Result<ExitCode> {
    need::check()?;
    let mut report = Report::new();
    report.line("steer: the traffic control of a service mesh inside the Linux kernel")?;
    let lab = stage::raise(&args.name)?;
    report.progress(&format!(
        "the lab is up: {} hosts in network namespaces; its files are in {}, its cgroup is {}",
        lab.hosts().len(),
        lab.dirs().run().display(),
        lab.dirs().cgroup().path().display()
    ))?;
    let stage = Stage::start(lab, args.kubernetes)?;
    report.progress(
        "the agent is ready; its programs are attached to the cgroup of the lab and to no other",
    )?;
    let walk = Walk {
        report: &mut report,
        stage: &stage,
    };
    let held = finish(walk)?;
    let held = report.conclude()? && held;
    if args.keep {
        play::tell_kept(&report, stage.lab())?;
        stage.keep()?;
    } else {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            play::until_enter(&report, stage.lab())?;
        }
        drop(stage);
        report.progress("the lab is gone")?;
    }
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Walks; what stops the walk half-way is shown like what does not hold.
fn finish(mut walk: Walk<'_>) -> Result<bool> {
    match walk.go() {
        Ok(()) => Ok(true),
        Err(error) => {
            walk.report
                .check(&format!("the walk goes on: {error:#}"), false)?;
            Ok(false)
        }
    }
}
