//! The lab with its agent: giving it files, and asking what the kernel holds.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use steer_tests::{agent::Agent, bins, lab::Lab, pod::Pod, server::names, topology};

use crate::source::Source;

/// The file that holds the VirtualService: every step replaces it.
pub(crate) const VIRTUAL_SERVICE: &str = "virtual-service.yaml";
/// How long the agent may take for a change.
const CHANGE_MAX: Duration = Duration::from_secs(10);

/// A lab whose agent runs.
pub(crate) struct Stage {
    // Before the lab: the agent goes first.
    agent: Agent,
    source: Source,
    lab: Lab,
}

/// What a command printed, and how it ended.
pub(crate) struct Printed {
    pub(crate) text: String,
    pub(crate) code: i32,
}

impl Stage {
    /// Starts the agent of `lab`: on files, or on a cluster.
    pub(crate) fn start(lab: Lab, kubernetes: bool) -> Result<Self> {
        let (source, agent) = if kubernetes {
            Source::cluster(&lab)?
        } else {
            Source::files(&lab)?
        };
        Ok(Self { agent, source, lab })
    }

    /// Whether the agent reads files.
    pub(crate) fn is_of_files(&self) -> bool {
        self.source.is_files()
    }

    /// The lab.
    pub(crate) fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A host.
    pub(crate) fn pod(&self, name: &str) -> Result<&Pod> {
        self.lab.pod(name)
    }

    /// Leaves the lab and its agent standing.
    pub(crate) fn keep(self) -> Result<()> {
        self.agent.leave();
        self.lab.keep()
    }

    /// Gives the agent a file of the example, under its own name.
    pub(crate) fn apply(&self, file: &str) -> Result<()> {
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{file} has no name"))?;
        self.source.put(&self.lab, name, &example(file)?)
    }

    /// Like `apply`, and waits until the agent says that what is written is in force. Says how long that
    /// took.
    pub(crate) fn apply_and_wait(&self, file: &str) -> Result<Duration> {
        let before = self.status()?;
        let started = Instant::now();
        self.apply(file)?;
        self.told_after(&before, "applied")?;
        Ok(started.elapsed())
    }

    /// Takes a file back, if it is there, and waits until the agent says that what is left is in force.
    pub(crate) fn take_back(&self, name: &str) -> Result<()> {
        let before = self.status()?;
        if !self.source.take(&self.lab, name)? {
            return Ok(());
        }
        self.told_after(&before, "applied")
    }

    /// Replaces the VirtualService, and waits until the agent says that what is written is in force.
    /// Says how long that took.
    pub(crate) fn route(&self, text: &str) -> Result<Duration> {
        self.replace(text, "applied")
    }

    /// Replaces the VirtualService by a text that the agent must refuse.
    pub(crate) fn break_route(&self, text: &str) -> Result<Duration> {
        self.replace(text, "refused")
    }

    fn replace(&self, text: &str, state: &str) -> Result<Duration> {
        let before = self.status()?;
        let started = Instant::now();
        self.source.put(&self.lab, VIRTUAL_SERVICE, text)?;
        self.told_after(&before, state)?;
        Ok(started.elapsed())
    }

    fn told_after(&self, before: &Value, state: &str) -> Result<()> {
        wait_for(&format!("the agent to say {state:?}"), || {
            let now = self.status()?;
            Ok(now["state"] == state && now["written"] != before["written"])
        })
    }

    /// What the agent says of itself. It is replaced whole, so that it can always be read.
    fn status(&self) -> Result<Value> {
        let path = self.lab.dirs().state().join("status.json");
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Lines of the access log: those of the agent's output that begin with a time in brackets.
    pub(crate) fn access_log(&self) -> Result<Vec<String>> {
        let path = self.agent.log();
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let lines = text.lines().filter(|line| line.starts_with("[20"));
        Ok(lines.map(ToOwned::to_owned).collect())
    }

    /// `steer WORDS...` on the maps of the lab's agent.
    pub(crate) fn steer(&self, words: &[&str]) -> Result<Printed> {
        let (subcommand, rest) = words.split_first().context("steer needs a subcommand")?;
        let mut command = self.lab.steer(subcommand)?;
        let output = command.args(rest).output().context("run steer")?;
        let code = output
            .status
            .code()
            .context("steer was ended by a signal")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &complaint;
        Ok(Printed { text, code })
    }

    /// The rows of a listing.
    pub(crate) fn get(&self, what: &str, name: &str) -> Result<Vec<Value>> {
        let printed = self.steer(&["get", what, name, "-o", "json"])?;
        ensure!(printed.code == 0, "steer get {what}: {}", printed.text);
        serde_json::from_str(&printed.text).with_context(|| format!("understand steer get {what}"))
    }
}

/// A file of the examples, by its path in the source tree.
pub(crate) fn example(file: &str) -> Result<String> {
    let path = bins::workspace().join(file);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Raises the bookstore; what an earlier run kept or left is taken down.
pub(crate) fn raise(name: &str) -> Result<Lab> {
    Lab::sweep(name)?;
    let lab = topology::bookstore(name)?;
    let outside = lab.pod(topology::OUTSIDE)?;
    names::start(outside, &[topology::ELSEWHERE_NAME], &[443])?;
    Ok(lab)
}

/// Waits until `held` does.
pub(crate) fn wait_for(what: &str, mut held: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !held()? {
        if started.elapsed() > CHANGE_MAX {
            bail!("waited {CHANGE_MAX:?} in vain for {what}");
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
