//! `cargo xtask dist`: the binary that images hold, with everything it needs in it, and the image.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
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

mod empty;
mod image;
mod name;

use name::Name;

/// Build the static binary that an image needs, as target/dist/steer, or that image
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to build
    #[arg(value_enum, default_value_t = What::Binary)]
    what: What,

    /// The name that the image has where it is loaded
    #[arg(long, value_name = "REPOSITORY:TAG", default_value = concat!("steer:", env!("CARGO_PKG_VERSION")))]
    tag: Name,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The static binary
    Binary,
    /// An archive with an image, for `docker load`, `podman load`, `kind load image-archive` and
    /// `ctr images import`, as target/dist/steer-image.tar
    Image,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build])?;
    build_ebpf::build_and_gate()?;
    let folder = root().join("target/dist");
    fs::create_dir_all(&folder)?;
    let binary = folder.join("steer");
    let bytes = fs::copy(build()?, &binary)?;
    say(&format!(
        "target/dist/steer: {:.1} MiB, static",
        mebibytes(bytes)
    ));
    println!("figure binary.mb {:.1}", mebibytes(bytes));
    if args.what == What::Image {
        write_image(&binary, &folder, &args.tag)?;
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = root().join("target/static");
    let mut command = cargo(&["build", "--release", "--workspace", "--bin", "steer"]);
    command
        .args(["--target", &target, "--target-dir"])
        .arg(&folder)
        // The C library inside: names are resolved by the agent itself, users are not looked up.
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cstrip=symbols");
    run_command(&mut command).context("the static binary does not build")?;
    let built = folder.join(target).join("release/steer");
    ensure_static(&built)?;
    Ok(built)
}

fn write_image(binary: &Path, folder: &Path, name: &Name) -> Result<()> {
    let program = image::Program {
        bytes: &fs::read(binary)?,
        version: env!("CARGO_PKG_VERSION"),
        architecture: std::env::consts::ARCH,
    };
    let archive = image::archive(&program, name)?;
    let path = folder.join("steer-image.tar");
    fs::write(&path, &archive).with_context(|| format!("cannot write {}", path.display()))?;
    let said = empty::version(&path, &folder.join("empty"))?;
    let size = mebibytes(u64::try_from(archive.len())?);
    say(&format!(
        "target/dist/steer-image.tar: {name}, {size:.1} MiB; {said} starts in an empty root"
    ));
    println!("figure image.mb {size:.1}");
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
