//! `cargo xtask bench`: measurements, and what they are compared with.

use anyhow::Result;

use crate::{
    build_ebpf, harness,
    setup::{self, Group},
};

/// Measure: split, connect, throughput, apply
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The bench and its arguments (`--json FILE` keeps the figures); `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build, Group::Test, Group::Bench])?;
    build_ebpf::build_and_gate()?;
    harness::become_program("steer-bench", &args.arguments, true)
}
