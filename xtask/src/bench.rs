//! `cargo xtask bench`: measurements, and what they are compared with.

use anyhow::Result;

use crate::{harness, setup::Group};

/// Measure: split, connect, throughput, apply, egress, l7, requests, tap, auto, gateway, cluster, telemetry
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The bench and its arguments (`--json FILE` keeps the figures); `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let groups = [Group::Build, Group::Test, Group::Bench];
    harness::Program::find("steer-bench")?.build_and_become(&groups, &args.arguments, true)
}
