//! The command line: what was typed becomes what it means, and an exit code.

mod agent;
mod args;
mod exit;

use std::process::ExitCode;

use clap::Parser as _;

pub use args::{Args, Command};
pub use exit::Exit;

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    }
}

fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Agent(args) => agent::run(args),
    }
}
