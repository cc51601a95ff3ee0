//! kubectl, which knows how to reach the cluster.

use std::{
    ffi::OsString,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The label of steer's pods, and the container that has the command.
const SELECTOR: &str = "app.kubernetes.io/name=steer";
const CONTAINER: &str = "agent";

/// How it is called.
pub(super) struct Kubectl {
    /// The program; kubectl on PATH if people did not say otherwise.
    pub(super) program: OsString,
    /// What every call begins with.
    pub(super) globals: Vec<String>,
    /// Where steer's pods are.
    pub(super) namespace: String,
}

impl Kubectl {
    fn command(&self, namespace: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.globals).args(["--namespace", namespace]);
        command
    }

    fn ask(&self, mut command: Command) -> Result<Value> {
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", self.program.to_string_lossy()))?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("understanding what kubectl says")
    }

    /// The pods of steer.
    pub(super) fn pods(&self) -> Result<Value> {
        let mut command = self.command(&self.namespace);
        command.args(["get", "pods", "--selector", SELECTOR, "--output", "json"]);
        self.ask(command)
    }

    /// A pod of an application.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> Result<Value> {
        let mut command = self.command(namespace);
        command.args(["get", "pod", name, "--output", "json"]);
        self.ask(command)
    }

    /// A command of steer in one of its pods.
    pub(super) fn steer(&self, pod: &str, arguments: &[String]) -> Command {
        let mut command = self.command(&self.namespace);
        command
            .args(["exec", pod, "--container", CONTAINER, "--", "/steer"])
            .args(arguments);
        command
    }

    /// `steer status` in one of its pods: it has something to say also when not all is well.
    pub(super) fn status(&self, pod: &str) -> Result<Value> {
        let arguments = ["status", "--output", "json"].map(str::to_owned);
        let output = self
            .steer(pod, &arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", self.program.to_string_lossy()))?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            anyhow::anyhow!("{}", said.lines().next().unwrap_or("it says nothing"))
        })
    }
}
