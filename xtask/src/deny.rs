//! Licences and advisories of dependencies, by cargo-deny where it is installed.

use anyhow::{Context as _, Result};

use crate::{
    process::{answer, run, say},
    workspace::cargo,
};

/// Holds dependencies to `deny.toml`. What cannot be checked here is said to be ignored, and why.
pub(crate) fn check() -> Result<()> {
    if answer(&mut cargo(&["deny", "--version"])).is_none() {
        say("deny: ignored: cargo-deny is not installed (`cargo install cargo-deny`)");
        return Ok(());
    }
    run(&mut cargo(&[
        "deny", "check", "licenses", "bans", "sources",
    ]))
    .context("a dependency is not what deny.toml allows")?;
    if answer(&mut cargo(&["deny", "fetch", "db"])).is_none() {
        say("deny: ignored: advisories, because their database cannot be fetched");
        return Ok(());
    }
    run(&mut cargo(&["deny", "check", "advisories"]))
        .context("a dependency has a known hole; see deny.toml")
}
