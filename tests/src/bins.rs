//! Where the programs are that tests start.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// Names another `steer` than the one built beside this program.
pub const STEER_BIN: &str = "STEER_BIN";

/// The command `steer`.
pub fn steer() -> Result<PathBuf> {
    match env::var_os(STEER_BIN) {
        Some(path) => Ok(path.into()),
        None => beside("steer").context("build it with `cargo build --bin steer`"),
    }
}

/// The client of the lab.
pub fn client() -> Result<PathBuf> {
    beside("steer-lab-client").context("build it with `cargo build -p steer-tests --bins`")
}

/// The server of the lab.
pub fn server() -> Result<PathBuf> {
    beside("steer-lab-server").context("build it with `cargo build -p steer-tests --bins`")
}

/// The soak.
pub fn soak() -> Result<PathBuf> {
    beside("steer-soak").context("build it with `cargo build -p steer-tests --bins`")
}

/// The root of the source tree.
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// A program built by the same `cargo`. Tests are one directory further down than binaries.
fn beside(name: &str) -> Result<PathBuf> {
    let this = env::current_exe().context("find this program")?;
    let mut directory = this.parent().context("this program is in no directory")?;
    if directory.ends_with("deps") {
        directory = directory.parent().unwrap_or(directory);
    }
    let path = directory.join(name);
    if !path.exists() {
        bail!("there is no {}", path.display());
    }
    Ok(path)
}
