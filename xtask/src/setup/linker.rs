//! bpf-linker, built for this checkout alone.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    process::{answer, find, path_with, run, say},
    toolchain::{LINKER_VERSION, Toolchain},
    workspace::{cargo, tools},
};

/// Builds bpf-linker into `target/tools`, with the LLVM of the compiler whose output it links.
pub(crate) fn install() -> Result<()> {
    let llvm = Toolchain::discover()
        .context("no Rust compiler with its library's sources")?
        .llvm;
    let directory = llvm_directory(llvm).with_context(|| {
        format!(
            "bpf-linker needs the development files of LLVM {llvm}, the compiler's own; type: \
             apt-get install llvm-{llvm}-dev libclang-{llvm}-dev libpolly-{llvm}-dev"
        )
    })?;
    say(&format!(
        "building bpf-linker {LINKER_VERSION} into {} (network; about a minute)",
        tools().display()
    ));
    // LLVM's own directory first, else the last link step does not find -lLLVM.
    run(cargo(&[
        "install",
        "bpf-linker",
        "--locked",
        "--version",
        LINKER_VERSION,
    ])
    .args([
        "--no-default-features",
        "--features",
        &format!("llvm-{llvm}"),
        "--root",
    ])
    .arg(tools())
    .env("PATH", path_with(&[directory])?))
    .context("bpf-linker does not build")
}

/// The directory that holds the llvm-config of one major version.
pub(crate) fn llvm_directory(major: u32) -> Option<PathBuf> {
    let beside = Path::new("/usr/lib").join(format!("llvm-{major}/bin/llvm-config"));
    [Some(beside), find("llvm-config")]
        .into_iter()
        .flatten()
        .find_map(|config| {
            let version = answer(Command::new(&config).arg("--version"))?;
            let same = version.split('.').next()?.parse() == Ok(major);
            // llvm-config alone is in a package without the headers.
            let headers = answer(Command::new(&config).arg("--includedir"))?;
            let built = Path::new(headers.trim()).join("llvm-c/Core.h").is_file();
            (same && built).then(|| config.parent().map(Path::to_owned))?
        })
}
