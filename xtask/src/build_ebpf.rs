//! `cargo xtask build-ebpf`: the kernel programs, compiled and checked.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{process, toolchain, workspace};

pub(crate) mod gate;
mod loops;

/// Compile the kernel programs and check their atomic instructions
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Accepted for symmetry: the kernel programs are always optimised, or the verifier refuses
    /// them
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(_args: &Args) -> Result<()> {
    build()?;
    for (section, adds) in gate()? {
        process::say(&format!("{section}: {adds} atomic add that fetches"));
    }
    Ok(())
}

/// Compiles and checks, saying nothing more than cargo does.
pub(crate) fn build_and_gate() -> Result<()> {
    build()?;
    gate().map(drop)
}

fn build() -> Result<()> {
    let toolchain = toolchain::require()?;
    process::run(&mut toolchain.cargo(&["build", "--release"])?)
        .context("the kernel programs do not build")
}

fn gate() -> Result<Vec<(String, usize)>> {
    let object = workspace::bpf_object();
    let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    loops::check(&bytes).context("a kernel that is supported would refuse the kernel programs")?;
    gate::check(&bytes).context("the kernel programs are miscompiled")
}
