//! `cargo xtask ci`: every gate that comes before the tests.

use anyhow::Result;

use crate::{deny, docs, lint, manifests, tidy};

/// Run every gate that comes before the tests: lint, tidy, deny, manifests --check, docs --check
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    lint::run(&lint::Args {})?;
    tidy::run(&tidy::Args { sizes: false })?;
    deny::check()?;
    manifests::check()?;
    docs::run(&docs::Args { check: true })
}
