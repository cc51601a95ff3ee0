//! `cargo xtask conformance`: case tables in, one line per table out.

use anyhow::Result;

use crate::{harness, setup::Group};

/// Read case tables and say how many cases of each hold
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// `--data DIR`, `--json`, or names of tables; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let groups = [Group::Build];
    harness::Program::find("steer-conformance")?.build_and_become(&groups, &args.arguments, true)
}
