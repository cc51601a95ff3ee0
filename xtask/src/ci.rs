//! `cargo xtask ci`: every gate that comes before the tests.

use anyhow::Result;

use crate::{docs, lint, tidy};

/// Run every gate that comes before the tests: lint, tidy, docs --check
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    lint::run(&lint::Args {})?;
    tidy::run(&tidy::Args { sizes: false })?;
    docs::run(&docs::Args { check: true })
}
