//! `cargo xtask verify`: real kernels of distributions, booted in QEMU, load every program and are
//! checked by real connections.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    build_ebpf, harness,
    process::{paint, run as run_command, say},
    setup::{self, Group},
    workspace::{Metadata, TESTS, cargo},
};

mod archive;
mod boot;
mod budget;
mod kernels;
pub(crate) mod table;

use kernels::Kernel;

/// Boot real kernels, load every program on each and check it by real connections
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which: `5.10`, `6.1`, `6.12`, `newest`, or `running`; all of them if absent
    #[arg(long = "kernel", value_name = "KERNEL")]
    kernels: Vec<String>,

    /// Keep the results: the table of docs/reference/kernels.md is made of them (type `cargo xtask
    /// docs` then), and the budget of the verifier
    #[arg(long)]
    bless: bool,
}

/// What came of one kernel.
enum Outcome {
    /// Its report.
    Told(Value),
    /// It cannot be had, or does not run here; and why.
    Ignored(String),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wanted = kernels::wanted(&args.kernels)?;
    setup::ensure(&[Group::Build, Group::Test, Group::Verify])?;
    let programs = build()?;
    let (mut looked_at, mut failed) = (0_u32, 0);
    for kernel in wanted {
        say(&format!("kernel {}", kernel.name()));
        let report = match look(kernel, &programs)? {
            Outcome::Told(report) => report,
            Outcome::Ignored(why) => {
                println!("{:<8} ignored: {why}", kernel.name());
                continue;
            }
        };
        looked_at += 1;
        println!("{:<8} {}", kernel.name(), table::line(&report));
        let mut failures = failures(kernel, &report);
        if args.bless && failures.is_empty() {
            table::keep(kernel, &report)?;
            budget::keep(&table::read()?)?;
        } else {
            failures.extend(budget::exceeded(&budget::read()?, &report));
        }
        for failure in &failures {
            say(&paint("1;31", &format!("{}: {failure}", kernel.name())));
        }
        failed += failures.len();
    }
    println!("figure verify.kernels {looked_at}");
    println!("figure verify.failed {failed}");
    Ok(if failed == 0 && looked_at > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a guest runs.
pub(crate) struct Programs {
    /// The runner, `steer`, and the lab's client and server.
    binaries: Vec<std::path::PathBuf>,
    /// The suites whose tests are the checks.
    suites: Vec<(&'static str, std::path::PathBuf)>,
}

impl Programs {
    fn binary(&self, name: &str) -> Result<&std::path::Path> {
        let found = self.binaries.iter().find(|path| path.ends_with(name));
        found
            .map(AsRef::as_ref)
            .with_context(|| format!("no {name} was built"))
    }
}

const BINARIES: [&str; 4] = [
    "steer-verify",
    "steer",
    "steer-lab-client",
    "steer-lab-server",
];

const SUITES: [&str; 2] = ["kernel", "agent"];

fn build() -> Result<Programs> {
    build_ebpf::build_and_gate()?;
    let metadata = Metadata::read()?;
    let mut command = cargo(&["build", "--workspace"]);
    for name in BINARIES {
        command.args(["--bin", name]);
    }
    run_command(&mut command).context("the programs of the guests do not build")?;
    Ok(Programs {
        binaries: BINARIES.map(|name| metadata.binary(name, false)).to_vec(),
        suites: SUITES
            .into_iter()
            .map(|suite| Ok((suite, harness::build_suite(TESTS, suite)?)))
            .collect::<Result<_>>()?,
    })
}

fn look(kernel: Kernel, programs: &Programs) -> Result<Outcome> {
    if kernel == Kernel::Running {
        return boot::here(programs).map(Outcome::Told);
    }
    match kernels::fetch(kernel) {
        Ok(image) => boot::guest(kernel, &image, programs).map(Outcome::Told),
        Err(error) => Ok(Outcome::Ignored(format!("{error:#}"))),
    }
}

/// What is not as it must be.
fn failures(kernel: Kernel, report: &Value) -> Vec<String> {
    if kernel.is_too_old() {
        table::not_refused(report)
    } else {
        table::failed(report)
    }
}
