//! Programs in Python that run on a host of the lab and do what they are told, a line at a time.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use steer_tests::{bins, cgroup::Cgroup, need, pod::Pod};

/// One of them. It ends when this is dropped.
pub(crate) struct Player {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Player {
    /// Starts `players ROLE` on `pod`.
    pub(crate) fn start(pod: &Pod, role: &str) -> Result<Self> {
        let mut command = pod.command(need::find("python3")?)?;
        command.arg("-B").arg(players()).arg(role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = child.with_context(|| format!("start {role} on {}", pod.name()))?;
        let stdin = child.stdin.take().context("it has an input")?;
        let stdout = child.stdout.take().context("it has an output")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    /// Moves it to another cgroup: sockets that it opens from now on are that cgroup's.
    pub(crate) fn move_to(&self, cgroup: &Cgroup) -> Result<()> {
        let procs = cgroup.path().join("cgroup.procs");
        let moved = fs::write(&procs, self.child.id().to_string());
        moved.with_context(|| format!("write {}", procs.display()))
    }

    /// What it says next.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the player has ended");
        }
        serde_json::from_str(&line).with_context(|| format!("understand {line}"))
    }

    /// Tells it something, and hears what it says to that.
    pub(crate) fn tell<T: DeserializeOwned>(&mut self, what: &Value) -> Result<T> {
        writeln!(self.stdin, "{what}")?;
        self.stdin.flush()?;
        self.hear()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts servers on `pod`: they send back what they get, and may resolve names as they are told.
pub(crate) fn serve(pod: &Pod, resolver: bool) -> Result<()> {
    let mut command = pod.command(need::find("python3")?)?;
    command.arg("-B").arg(players()).arg("servers");
    if resolver {
        command.arg("resolver");
    }
    pod.start("servers", command)?;
    pod.wait_until_listening(7000, "servers")
}

fn players() -> PathBuf {
    bins::workspace().join("tests/suite/egress/players")
}
