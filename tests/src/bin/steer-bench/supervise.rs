//! Watches over a bench: however it ends, its labs are taken down. What it switched on in the kernel
//! goes with its process.

use std::{
    env,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result};
use steer_tests::lab::Lab;
use tokio::signal::unix::{SignalKind, signal};

/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs the same command line in a process of its own, and cleans up after it.
pub(crate) fn run() -> Result<ExitCode> {
    let mut command = Command::new(env::current_exe().context("find this program")?);
    command.args(env::args_os().skip(1)).arg("--watched");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(watch(command))?;
    if ended.is_none_or(|status| !status.success()) {
        Lab::sweep_stale()?;
    }
    let Some(status) = ended else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// How the command ended; nothing if somebody asked to stop.
async fn watch(command: Command) -> Result<Option<ExitStatus>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .context("start the bench")?;
    tokio::select! {
        // A signal of the terminal reaches both: it counts as asked, whoever sees it first.
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        status = child.wait() => return Ok(Some(status?)),
    }
    child.kill().await.context("end the bench")?;
    Ok(None)
}
