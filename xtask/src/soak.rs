//! `cargo xtask soak`: the agent is killed, upgraded and downgraded under connections.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use object::{Endianness, Object as _, ObjectSection as _, read::elf::ElfFile64};

use crate::{
    build_ebpf, harness,
    process::{as_root, exec, run},
    setup::{self, Group},
    toolchain,
    workspace::{Metadata, bpf_object, cargo, root},
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
    let [first, other] = [bpf_object(), second_target().join(OBJECT)].map(connect4);
    ensure!(
        first? != other?,
        "the kernel programs of both builds are the same: nothing would be upgraded"
    );
    let steer = harness::build_steer(&metadata, false)?;
    run(&mut cargo(&["build", "--workspace", "--bins"]))?;
    exec(
        as_root(&metadata.binary("steer-soak", false))
            .args(&args.arguments)
            .env("STEER_BIN", steer)
            .env("STEER_SECOND", second),
    )
}

/// Where an object is in a target folder of kernel programs.
const OBJECT: &str = "bpfel-unknown-none/release/steer";

fn second_target() -> PathBuf {
    root().join("target/second")
}

/// The instructions of one of the programs of an object.
fn connect4(object: PathBuf) -> Result<Vec<u8>> {
    let bytes = fs::read(&object).with_context(|| format!("read {}", object.display()))?;
    let parsed = ElfFile64::<Endianness>::parse(&*bytes)?;
    let section = parsed.section_by_name("cgroup/connect4");
    Ok(section.context("no connect4 program")?.data()?.to_vec())
}

/// Another build: its kernel programs are optimised otherwise, so their instructions differ, and its
/// version says so.
fn second_build(metadata: &Metadata) -> Result<PathBuf> {
    let folder = second_target();
    let mut command = toolchain::require()?.cargo_into(&folder, &["build", "--release"])?;
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2");
    run(&mut command).context("the kernel programs of the second build")?;
    let object = folder.join(OBJECT);
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
