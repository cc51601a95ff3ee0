//! `cargo xtask conformance`: case tables in, one line per table out.

use anyhow::Result;

use crate::{
    build_ebpf, harness,
    setup::{self, Group},
};

/// Read case tables and say how many cases of each hold
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// `--data DIR`, `--json`, or names of tables; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build])?;
    build_ebpf::build_and_gate()?;
    harness::become_program("steer-conformance", &args.arguments, true)
}
