//! `cargo xtask`: everything a developer does with steer, one file per command.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people: its output is its purpose"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build_ebpf;
mod ci;
mod conformance;
mod deny;
mod dist;
mod docs;
mod harness;
mod lab;
mod lint;
mod manifests;
mod process;
mod run;
mod setup;
mod soak;
mod test;
mod tidy;
mod toolchain;
mod verify;
mod workspace;

/// Everything a developer does with steer.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Setup(setup::Args),
    BuildEbpf(build_ebpf::Args),
    Run(run::Args),
    Test(test::Args),
    Lab(lab::Args),
    Bench(bench::Args),
    Soak(soak::Args),
    Conformance(conformance::Args),
    Verify(verify::Args),
    Lint(lint::Args),
    Tidy(tidy::Args),
    Docs(docs::Args),
    Manifests(manifests::Args),
    Dist(dist::Args),
    Ci(ci::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Task::Setup(args) => setup::run(&args),
        Task::BuildEbpf(args) => build_ebpf::run(&args),
        Task::Run(args) => run::run(&args),
        Task::Test(args) => return conclude(test::run(&args)),
        Task::Verify(args) => return conclude(verify::run(&args)),
        Task::Lab(args) => lab::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Soak(args) => soak::run_soak(&args),
        Task::Conformance(args) => conformance::run(&args),
        Task::Lint(args) => lint::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::Docs(args) => docs::run(&args),
        Task::Manifests(args) => manifests::run(&args),
        Task::Dist(args) => dist::run(&args),
        Task::Ci(args) => ci::run(&args),
    };
    conclude(result.map(|()| ExitCode::SUCCESS))
}

fn conclude(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("{} {error:#}", process::paint("1;31", "error:"));
        ExitCode::FAILURE
    })
}
