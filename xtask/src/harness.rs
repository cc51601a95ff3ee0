//! The programs of package `steer-tests` (demonstration, lab, benches), built and run.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build_ebpf,
    process::{as_root, exec, lines, run},
    setup::{self, Group, envoy},
    workspace::{Metadata, TESTS, cargo},
};

/// A program of the tests' package that this checkout has.
pub(crate) struct Program {
    name: &'static str,
    metadata: Metadata,
}

impl Program {
    /// Looked for before anything is installed or built for it.
    pub(crate) fn find(name: &'static str) -> Result<Self> {
        let metadata = Metadata::read()?;
        if !metadata
            .targets(TESTS, "bin")
            .iter()
            .any(|target| target == name)
        {
            bail!("this checkout has no {name}: package {TESTS} defines no such program");
        }
        Ok(Self { name, metadata })
    }

    /// Makes the machine ready, builds the kernel programs, steer and the program, and becomes it.
    pub(crate) fn build_and_become(
        &self,
        groups: &[Group],
        arguments: &[String],
        release: bool,
    ) -> Result<()> {
        setup::ensure(groups)?;
        build_ebpf::build_and_gate()?;
        let steer = build_steer(&self.metadata, release)?;
        run(&mut build(self.name, release))
            .with_context(|| format!("{} does not build", self.name))?;
        exec(
            as_root(&self.metadata.binary(self.name, release))
                .args(arguments)
                .env("STEER_BIN", steer)
                .env("STEER_ENVOY", envoy::binary()),
        )
    }
}

/// Builds the command `steer`; says where it is.
pub(crate) fn build_steer(metadata: &Metadata, release: bool) -> Result<PathBuf> {
    run(&mut build("steer", release)).context("steer does not build")?;
    Ok(metadata.binary("steer", release))
}

/// Builds a suite of tests without running it; says where its program is.
pub(crate) fn build_suite(package: &str, suite: &str) -> Result<PathBuf> {
    let mut command = cargo(&["test", "--workspace", "--test", suite, "--no-run"]);
    command.arg("--message-format=json");
    let mut found = None;
    let built = lines(&mut command, |line| {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
            return;
        };
        let target = &message["target"];
        if target["name"] == suite && target["kind"][0] == "test" {
            found = message["executable"]
                .as_str()
                .map(PathBuf::from)
                .or(found.take());
        }
    })?;
    if !built {
        bail!("the suite {suite} of {package} does not build");
    }
    found.with_context(|| format!("cargo names no program of the suite {suite}"))
}

/// Becomes a program that needs root.
pub(crate) fn become_root_program(program: &Path, arguments: &[String]) -> Result<()> {
    exec(as_root(program).args(arguments))
}

/// Always with the whole workspace selected: one set of features, one build of each dependency.
fn build(name: &str, release: bool) -> Command {
    let mut command = cargo(&["build", "--workspace", "--bin", name]);
    if release {
        command.arg("--release");
    }
    command
}
