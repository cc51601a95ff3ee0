//! `cargo xtask lab`: a lab of network namespaces to play in.

use anyhow::Result;

use crate::{harness, setup::Group};

/// Raise, enter, list or take down a lab: up, shell, exec, down, list
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What to do, with its arguments; `--help` lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let groups = [Group::Build, Group::Test];
    harness::Program::find("steer-lab")?.build_and_become(&groups, &args.arguments, false)
}
