//! Where things are in this checkout, and what its packages build.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The package of the lab, the suites, the demonstration and the benches.
pub(crate) const TESTS: &str = "steer-tests";

/// The top of the checkout.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The target folder of the kernel programs; beside the others, whatever `CARGO_TARGET_DIR` says,
/// because the build script of `steer-userspace` looks for them there.
pub(crate) fn bpf_target() -> PathBuf {
    root().join("target/bpf")
}

/// The compiled kernel programs.
pub(crate) fn bpf_object() -> PathBuf {
    bpf_target().join("bpfel-unknown-none/release/steer")
}

/// Tools that setup builds for this checkout alone.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// The cargo that runs this, in the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(arguments);
    cargo
}

/// What `cargo metadata` says of the workspace's own packages.
pub(crate) struct Metadata(Value);

impl Metadata {
    pub(crate) fn read() -> Result<Self> {
        let output = cargo(&["metadata", "--no-deps", "--format-version=1"])
            .output()
            .context("cannot run cargo metadata")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo metadata failed: {said}");
        Ok(Self(serde_json::from_slice(&output.stdout)?))
    }

    /// Names of a package's targets of one kind (`bin`, `test`, `bench`), in order.
    pub(crate) fn targets(&self, package: &str, kind: &str) -> Vec<String> {
        self.all_targets(kind, |name| name == package)
    }

    /// Names of the other packages' targets of one kind.
    pub(crate) fn targets_beside(&self, package: &str, kind: &str) -> Vec<String> {
        self.all_targets(kind, |name| name != package)
    }

    fn all_targets(&self, kind: &str, package: impl Fn(&str) -> bool) -> Vec<String> {
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> = list(&self.0, "packages")
            .iter()
            .filter(|found| found["name"].as_str().is_some_and(&package))
            .flat_map(|found| list(found, "targets"))
            .filter(|target| list(target, "kind").iter().any(|found| found == kind))
            .filter_map(|target| target["name"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    /// Where a built binary of the workspace lies.
    pub(crate) fn binary(&self, name: &str, release: bool) -> PathBuf {
        let target = self.0["target_directory"].as_str().unwrap_or("target");
        Path::new(target)
            .join(if release { "release" } else { "debug" })
            .join(name)
    }
}
