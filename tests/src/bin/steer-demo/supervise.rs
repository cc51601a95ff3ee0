//! Watches over the walk: however it ends, the lab is taken down.

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use steer_tests::lab::Lab;
use tokio::signal::unix::{SignalKind, signal};

use crate::report::Report;

/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs the walk in a process of its own, and cleans up after it: Ctrl-C, a crash and a kill leave
/// nothing behind.
pub(crate) fn run(name: &str, flags: &[&str]) -> Result<ExitCode> {
    let mut command = Command::new(env::current_exe().context("find this program")?);
    command.args(["--watched", "--name", name]).args(flags);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let status = runtime.block_on(watch(command))?;
    if let Some(code) = status.and_then(|status| status.code()) {
        return Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    Lab::sweep(name)?;
    Report::new().line(&format!("the lab {name} is gone"))?;
    Ok(if status.is_none_or(was_asked) {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::FAILURE
    })
}

/// A signal of the terminal reaches both processes; the walk may have ended of it first.
fn was_asked(status: ExitStatus) -> bool {
    let asking = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    asking
        .map(|signal| Some(signal as i32))
        .contains(&status.signal())
}

/// How the command ended; nothing if somebody asked to stop.
async fn watch(command: Command) -> Result<Option<ExitStatus>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .context("start the walk")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        status = child.wait() => return Ok(Some(status?)),
    }
    child.kill().await.context("end the walk")?;
    Ok(None)
}
