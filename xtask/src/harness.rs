//! The programs of package `steer-tests` (demonstration, lab, benches), built and run.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{as_root, exec, run},
    setup::envoy,
    workspace::{Metadata, TESTS, cargo},
};

/// Builds steer and one program of the tests' package, and becomes that program.
pub(crate) fn become_program(name: &str, arguments: &[String], release: bool) -> Result<()> {
    let metadata = Metadata::read()?;
    if !metadata
        .targets(TESTS, "bin")
        .iter()
        .any(|target| target == name)
    {
        bail!("this checkout has no {name}: package {TESTS} defines no such program");
    }
    let steer = build_steer(&metadata, release)?;
    run(&mut build(TESTS, name, release)).with_context(|| format!("{name} does not build"))?;
    exec(
        as_root(&metadata.binary(name, release))
            .args(arguments)
            .env("STEER_BIN", steer)
            .env("STEER_ENVOY", envoy::binary()),
    )
}

/// Builds the command `steer`; says where it is.
pub(crate) fn build_steer(metadata: &Metadata, release: bool) -> Result<PathBuf> {
    run(&mut build("steer-userspace", "steer", release)).context("steer does not build")?;
    Ok(metadata.binary("steer", release))
}

/// Becomes a program that needs root.
pub(crate) fn become_root_program(program: &Path, arguments: &[String]) -> Result<()> {
    exec(as_root(program).args(arguments))
}

fn build(package: &str, name: &str, release: bool) -> std::process::Command {
    let mut command = cargo(&["build", "--package", package, "--bin", name]);
    if release {
        command.arg("--release");
    }
    command
}
