//! `cargo xtask dist`: the binary that images hold, with everything it needs in it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use object::{
    Endianness,
    elf::PT_INTERP,
    read::elf::{ElfFile64, ProgramHeader as _},
};

use crate::{
    build_ebpf,
    process::{run as run_command, say},
    setup::{self, Group},
    workspace::{cargo, root},
};

/// Build the static binary that an image needs, as target/dist/steer
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build])?;
    build_ebpf::build_and_gate()?;
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let build = root().join("target/static");
    let mut command = cargo(&["build", "--release", "--workspace", "--bin", "steer"]);
    command
        .args(["--target", &target, "--target-dir"])
        .arg(&build)
        // The C library inside: names are resolved by the agent itself, users are not looked up.
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cstrip=symbols");
    run_command(&mut command).context("the static binary does not build")?;
    let built = build.join(target).join("release/steer");
    ensure_static(&built)?;
    let folder = root().join("target/dist");
    fs::create_dir_all(&folder)?;
    let bytes = fs::copy(&built, folder.join("steer"))?;
    say(&format!(
        "target/dist/steer: {:.1} MiB, static; docker build --file deploy/Dockerfile --tag steer:0.1.0 target/dist",
        mebibytes(bytes)
    ));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// It asks for no loader, which an empty image does not have.
fn ensure_static(path: &PathBuf) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let file = ElfFile64::<Endianness>::parse(bytes.as_slice())?;
    let mut headers = file.elf_program_headers().iter();
    let dynamic = headers.any(|header| header.p_type(file.endian()) == PT_INTERP);
    ensure!(!dynamic, "{} needs a loader", path.display());
    Ok(())
}
