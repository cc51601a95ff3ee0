//! `cargo xtask soak`: the agent is killed, upgraded and downgraded under connections.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    build_ebpf, harness,
    process::{as_root, exec, run},
    setup::{self, Group},
    toolchain,
    workspace::{Metadata, cargo, root},
};

/// Kill, upgrade and downgrade the agent under connections; at least 20 rounds count
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// `--rounds N`, `--json FILE`; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    arguments: Vec<String>,
}

pub(crate) fn run_soak(args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build, Group::Test])?;
    let metadata = Metadata::read()?;
    let second = second_build(&metadata)?;
    build_ebpf::build_and_gate()?;
    let steer = harness::build_steer(&metadata, false)?;
    run(&mut cargo(&["build", "--workspace", "--bins"]))?;
    exec(
        as_root(&metadata.binary("steer-soak", false))
            .args(&args.arguments)
            .env("STEER_BIN", steer)
            .env("STEER_SECOND", second),
    )
}

/// Another build: its kernel programs are optimised otherwise, so their instructions differ, and its
/// version says so.
fn second_build(metadata: &Metadata) -> Result<PathBuf> {
    let folder = root().join("target/second");
    let mut command = toolchain::require()?.cargo(&["build", "--release"])?;
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2");
    command.arg("--target-dir").arg(&folder);
    run(&mut command).context("the kernel programs of the second build")?;
    let object = folder.join("bpfel-unknown-none/release/steer");
    let mut command = cargo(&["build", "--workspace", "--bin", "steer"]);
    command.env("STEER_EBPF_OBJ", &object);
    command.env("STEER_BUILD", "second");
    run(&mut command).context("the second build of steer")?;
    let kept = folder.join("steer");
    // Not in place: it may be running.
    let _absent = fs::remove_file(&kept);
    fs::copy(metadata.binary("steer", false), &kept).context("keep the second build")?;
    Ok(kept)
}
