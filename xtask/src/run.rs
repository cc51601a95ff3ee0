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

    /// Leave the demonstration's lab standing at its end
    #[arg(long, conflicts_with = "steer")]
    keep: bool,

    /// Let the demonstration's agent read a cluster's API server instead of files
    #[arg(long, conflicts_with_all = ["steer", "keep"])]
    kubernetes: bool,

    /// Name of the demonstration's lab
    #[arg(long, conflicts_with = "steer")]
    name: Option<String>,

    /// Arguments for `steer`, run on this host itself
    #[arg(last = true)]
    steer: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.steer.is_empty() {
        let groups = [Group::Build, Group::Test];
        let demo = harness::Program::find("steer-demo")?;
        return demo.build_and_become(&groups, &args.of_demo(), args.release);
    }
    setup::ensure(&[Group::Build])?;
    build_ebpf::build_and_gate()?;
    let steer = harness::build_steer(&Metadata::read()?, args.release)?;
    harness::become_root_program(&steer, &args.steer)
}

impl Args {
    fn of_demo(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.keep {
            arguments.push("--keep".to_owned());
        }
        if self.kubernetes {
            arguments.push("--kubernetes".to_owned());
        }
        if let Some(name) = &self.name {
            arguments.extend(["--name".to_owned(), name.clone()]);
        }
        arguments
    }
}
