//! `cargo xtask docs`: the reference pages that the program itself writes, and the API's.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{
    build_ebpf, harness,
    process::{run as run_command, say},
    setup::{self, Group},
    verify::table,
    workspace::{Metadata, cargo, root},
};

/// Write the generated reference pages, and build the API's documentation
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing: fail if a page is not what would be written
    #[arg(long)]
    pub(crate) check: bool,
}

/// Where the generated pages are kept.
const PAGES: &str = "docs/reference";

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build])?;
    build_ebpf::build_and_gate()?;
    let steer = harness::build_steer(&Metadata::read()?, false)?;
    let written = root().join("target/docs/reference");
    if written.exists() {
        fs::remove_dir_all(&written)?;
    }
    fs::create_dir_all(&written)?;
    run_command(
        std::process::Command::new(steer)
            .args(["generate", "docs", "--out"])
            .arg(&written),
    )
    .context("steer does not write its reference pages")?;
    fs::write(written.join("kernels.md"), table::page()?)?;
    let kept = root().join(PAGES);
    let stale = stale(&pages(&written)?, &pages(&kept)?);
    if args.check && !stale.is_empty() {
        bail!(
            "{PAGES} is out of date ({}); type: cargo xtask docs",
            stale.join(", ")
        );
    }
    for name in &stale {
        fs::create_dir_all(&kept)?;
        fs::copy(written.join(name), kept.join(name))?;
        say(&format!("wrote {PAGES}/{name}"));
    }
    run_command(
        cargo(&[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--quiet",
        ])
        .env("RUSTDOCFLAGS", "-Dwarnings"),
    )
    .context("the API's documentation has warnings")
}

/// Names of the written pages that are kept otherwise, or not at all.
fn stale(written: &BTreeMap<String, String>, kept: &BTreeMap<String, String>) -> Vec<String> {
    let differs = |(name, text): &(&String, &String)| kept.get(*name) != Some(*text);
    written
        .iter()
        .filter(differs)
        .map(|(name, _)| name.clone())
        .collect()
}

fn pages(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    if !directory.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            found.insert(name.to_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page kept by hand is left alone; a missing and a changed one are not.
    #[test]
    fn only_written_pages_can_be_stale() {
        let pages = |pages: &[(&str, &str)]| {
            pages
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect()
        };
        let written = pages(&[("cli.md", "1"), ("limits.md", "2"), ("reasons.md", "3")]);
        let kept = pages(&[("cli.md", "1"), ("limits.md", "old"), ("by-hand.md", "x")]);
        assert_eq!(stale(&written, &kept), ["limits.md", "reasons.md"]);
    }
}
