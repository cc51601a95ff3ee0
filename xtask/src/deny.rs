//! Licences, sources and advisories of dependencies, by cargo-deny.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{
    process::{answer, run, say},
    setup,
    workspace::root,
};

/// The trees of dependencies: the kernel programs have one of their own.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "steer-ebpf/Cargo.toml"];

/// Holds dependencies to `deny.toml`. What cannot be checked here is said to be ignored, and why.
pub(crate) fn check() -> Result<()> {
    setup::ensure(&[setup::Group::Lint])?;
    for manifest in MANIFESTS {
        run(deny(manifest).args([
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ]))
        .with_context(|| format!("a dependency of {manifest} is not what deny.toml allows"))?;
    }
    if answer(deny(MANIFESTS[0]).args(["fetch", "db"])).is_none() {
        say("deny: ignored: advisories, because their database cannot be fetched");
        return Ok(());
    }
    MANIFESTS.into_iter().try_for_each(|manifest| {
        run(deny(manifest).args(["check", "advisories"]))
            .with_context(|| format!("a dependency of {manifest} has a known hole; see deny.toml"))
    })
}

fn deny(manifest: &str) -> Command {
    let mut command = Command::new(setup::deny::binary());
    command
        .current_dir(root())
        .args(["--log-level", "error", "--manifest-path", manifest]);
    command
}
