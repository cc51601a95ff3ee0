//! cargo-deny, built for this checkout alone.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{
    process::{run, say},
    workspace::{cargo, tools},
};

const VERSION: &str = "0.20.2";

/// Where it is once it is built.
pub(crate) fn binary() -> PathBuf {
    tools().join("bin/cargo-deny")
}

/// Builds it into `target/tools`.
pub(crate) fn install() -> Result<()> {
    say(&format!(
        "building cargo-deny {VERSION} into {} (network; some minutes)",
        tools().display()
    ));
    run(
        cargo(&["install", "cargo-deny", "--locked", "--version", VERSION])
            .arg("--root")
            .arg(tools()),
    )
    .context("cargo-deny does not build")
}
