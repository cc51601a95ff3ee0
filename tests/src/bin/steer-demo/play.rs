//! The lab after the walk: how to play in it, and how it ends.

use std::io;

use anyhow::{Context as _, Result};
use steer_tests::lab::Lab;

use crate::report::Report;

/// Keeps the lab until a key is pressed. Ctrl-C ends this process, and the one that watches cleans up.
pub(crate) fn until_enter(report: &Report, lab: &Lab) -> Result<()> {
    tell(report, lab)?;
    report.line(
        "  Enter or Ctrl-C here                       takes all of it down, without a trace",
    )?;
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .context("wait for the end")?;
    Ok(())
}

/// Says how a lab that was kept is used and taken down.
pub(crate) fn tell_kept(report: &Report, lab: &Lab) -> Result<()> {
    tell(report, lab)?;
    let name = lab.name();
    report.line(&format!(
        "  cargo xtask lab --name {name} down              takes all of it down, without a trace"
    ))
}

fn tell(report: &Report, lab: &Lab) -> Result<()> {
    let (name, config) = (lab.name(), lab.dirs().config());
    report.line("")?;
    report.line("The lab is yours. In another terminal:")?;
    report.line(&format!(
        "  cargo xtask lab --name {name} shell             a shell in the pod `client`; there: curl catalog"
    ))?;
    report.line(&format!(
        "  cargo xtask lab --name {name} steer get routes  what the kernel holds (also: status, check, explain webapp catalog:80)"
    ))?;
    report.line(&format!(
        "  an editor on {}/virtual-service.yaml: what is saved is in force",
        config.display()
    ))
}
