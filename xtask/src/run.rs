//! `cargo xtask run`: the demonstration, or the command `steer` of this checkout.

use anyhow::Result;

use crate::{
    build_ebpf, harness,
    setup::{self, Group},
    workspace::Metadata,
};

/// Set up, build and show steer at work; with arguments after `--`, run `steer` with them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build with all optimisations
    #[arg(long)]
    release: bool,

    /// Arguments for `steer`, run on this host itself
    #[arg(last = true)]
    steer: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.steer.is_empty() {
        let groups = [Group::Build, Group::Test];
        return harness::Program::find("steer-demo")?.build_and_become(&groups, &[], args.release);
    }
    setup::ensure(&[Group::Build])?;
    build_ebpf::build_and_gate()?;
    let steer = harness::build_steer(&Metadata::read()?, args.release)?;
    harness::become_root_program(&steer, &args.steer)
}
