//! Watches over the walk: however it ends, the lab is taken down.

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result};
use steer_tests::lab::Lab;
use tokio::signal::unix::{SignalKind, signal};

/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs the walk in a process of its own, and cleans up after it: Ctrl-C, a crash and a kill leave
/// nothing behind.
pub(crate) fn run(name: &str, keep: bool) -> Result<ExitCode> {
    let mut command = Command::new(env::current_exe().context("find this program")?);
    command.args(["--watched", "--name", name]);
    if keep {
        command.arg("--keep");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match runtime.block_on(watch(command))? {
        Some(status) if status.signal().is_none() => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
        ended => {
            Lab::sweep(name)?;
            Ok(if ended.is_none() {
                ExitCode::from(INTERRUPTED)
            } else {
                ExitCode::FAILURE
            })
        }
    }
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
        // A signal of the terminal reaches both: it counts as asked, whoever sees it first.
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        status = child.wait() => return Ok(Some(status?)),
    }
    child.kill().await.context("end the walk")?;
    Ok(None)
}
