//! The command line: what was typed becomes what it means, and an exit code.

mod agent;
mod args;
mod check;
mod dashboard;
mod doctor;
mod events;
mod exit;
mod explain;
mod generate;
mod get;
#[cfg(test)]
mod golden;
mod install;
mod instance;
mod learn;
mod output;
mod plan;
mod plugin;
mod rollback;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod top;
mod uninstall;
mod unload;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

pub use args::{Args, Command};
pub use exit::Exit;
pub use plugin::plugin;

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    }
}

fn run(args: Args) -> anyhow::Result<Exit> {
    let instance = args.instance;
    match args.command {
        Command::Agent(args) => agent::run(*args, &instance),
        Command::Check(args) => check::run(&args, &instance),
        Command::Plan(args) => plan::run(&args, &instance),
        Command::Get(what) => get::run(&what, &instance),
        Command::Explain(args) => explain::run(&args, &instance),
        Command::Learn(args) => learn::run(&args, &instance),
        Command::Status(args) => status::run(&args, &instance),
        Command::Events(args) => events::run(&args, &instance),
        Command::Top(args) => top::run(&args, &instance),
        Command::Doctor(args) => doctor::run(&args),
        Command::Rollback(args) => rollback::run(&args, &instance),
        Command::Unload(args) => unload::run(&args, &instance),
        Command::Install(args) => install::run(&args),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Generate(args) => generate::docs(&args),
        Command::Dashboard(args) => dashboard::run(args, &instance),
    }
}

/// What waits runs on one thread: the one that is there.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("starting the runtime")
}
