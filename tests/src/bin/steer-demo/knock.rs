//! A client that keeps connecting until it is let through.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use steer_tests::{need, pod::Pod};

/// What runs in the client's pod.
const SCRIPT: &str = include_str!("knock.py");

/// Such a client, refused so far.
pub(crate) struct Knock {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// What it says once it got through.
#[derive(Debug, Deserialize)]
pub(crate) struct Through {
    pub(crate) refused: u64,
    /// When, on `CLOCK_MONOTONIC`.
    pub(crate) through_ns: u64,
}

impl Knock {
    /// Starts it in `pod`: it resolves `name` anew each time. Waits until it is refused.
    pub(crate) fn start(pod: &Pod, name: &str, port: u16) -> Result<Self> {
        let mut command = pod.command(need::find("python3")?)?;
        command.args(["-c", SCRIPT, name, &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("start python3")?;
        let stdout = child.stdout.take().context("python3 has an output")?;
        let mut knock = Self {
            child,
            stdout: BufReader::new(stdout),
        };
        let mut refused = String::new();
        knock.stdout.read_line(&mut refused)?;
        Ok(knock)
    }

    /// Waits until it was let through.
    pub(crate) fn wait(mut self) -> Result<Through> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        serde_json::from_str(&line).context("the client was never let through")
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        // It has ended already unless a step failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
