//! The lab after the walk: how to play in it, and how it ends.

use std::io;

use anyhow::{Context as _, Result};
use steer_tests::lab::Lab;

use crate::{report::Report, stage::VIRTUAL_SERVICE};

/// How the lab ends.
const END: &str = "takes all of it down, without a trace";

/// Keeps the lab until Enter is pressed. Ctrl-C ends this process; the one that watches cleans up.
pub(crate) fn until_enter(report: &Report, lab: &Lab) -> Result<()> {
    tell(report, lab, "Enter or Ctrl-C here")?;
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    read.context("wait for the end")?;
    Ok(())
}

/// Says how a lab that was kept is used and taken down.
pub(crate) fn tell_kept(report: &Report, lab: &Lab) -> Result<()> {
    tell(
        report,
        lab,
        &format!("cargo xtask lab --name {} down", lab.name()),
    )
}

fn tell(report: &Report, lab: &Lab, end: &str) -> Result<()> {
    let enter = format!("cargo xtask lab --name {}", lab.name());
    let file = lab.dirs().config().join(VIRTUAL_SERVICE);
    let ways = [
        (
            format!("{enter} shell"),
            "a shell in the pod client; there: curl catalog",
        ),
        (format!("{enter} steer get routes"), "what the kernel holds"),
        (
            format!("{enter} steer explain webapp catalog:80"),
            "how it decides",
        ),
        (
            format!("$EDITOR {}", file.display()),
            "what is saved is in force",
        ),
        (end.to_owned(), END),
    ];
    let width = ways
        .iter()
        .map(|(way, _)| way.len())
        .max()
        .unwrap_or_default();
    report.line("\nThe lab stands. In another terminal:")?;
    for (way, what) in ways {
        report.line(&format!("  {way:width$}  {what}"))?;
    }
    Ok(())
}
