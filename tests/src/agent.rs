//! The agent of a lab: `steer agent` on its node.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    bins,
    lab::Lab,
    pod::{Pod, tail},
};

/// What the agent writes once the kernel holds what the configuration asks.
pub const READY: &str = "agent is ready";
/// How long it may take until then.
const READY_MAX: Duration = Duration::from_mins(2);
/// How long an agent may take to end when asked to.
const END_MAX: Duration = Duration::from_secs(10);

/// A running agent. Dropped, it is killed; what it pinned stays.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    log: PathBuf,
    left: bool,
}

impl Lab {
    /// Starts the agent on the lab's configuration and waits until it is ready.
    pub fn agent(&self) -> Result<Agent> {
        self.agent_with(&[])
    }

    /// Like `agent`, with arguments added.
    pub fn agent_with(&self, arguments: &[&str]) -> Result<Agent> {
        let mut command = self.agent_command()?;
        command.args(arguments);
        Agent::start(self.node()?, command)
    }

    /// Starts an agent with these variables, which may not live until it is ready.
    pub fn agent_that_may_die(&self, variables: &[(&str, &str)]) -> Result<Death> {
        let mut command = self.agent_command()?;
        command.envs(variables.iter().copied());
        Agent::start_that_may_die(self.node()?, command)
    }

    /// The agent's command line: the only place that knows it.
    pub fn agent_command(&self) -> Result<Command> {
        self.agent_command_of(&bins::steer()?)
    }

    /// The same, of another build of steer.
    pub fn agent_command_of(&self, build: &Path) -> Result<Command> {
        let mut command = self.steer_of(build, "agent")?;
        command.arg("--config").arg(self.dirs().config());
        command
            .arg("--cgroup")
            .arg(self.dirs().cluster_cgroup().path());
        Ok(command)
    }

    /// `steer SUBCOMMAND` on the node, on the maps of this lab's agent.
    pub fn steer(&self, subcommand: &str) -> Result<Command> {
        self.steer_of(&bins::steer()?, subcommand)
    }

    fn steer_of(&self, build: &Path, subcommand: &str) -> Result<Command> {
        let mut command = self.node()?.command(build)?;
        command.arg(subcommand);
        command.arg("--pins").arg(self.dirs().pins());
        command.arg("--state").arg(self.dirs().state());
        Ok(command)
    }

    /// Puts a file into the agent's configuration, as `name`. Readers see it whole or not at all.
    pub fn configure(&self, name: &str, text: &str) -> Result<()> {
        let fresh = self.dirs().run().join("config.new");
        fs::write(&fresh, text)?;
        let path = self.dirs().config().join(name);
        fs::rename(&fresh, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Takes a file out of the agent's configuration.
    pub fn unconfigure(&self, name: &str) -> Result<()> {
        let path = self.dirs().config().join(name);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }
}

/// How an agent that may die began.
#[derive(Debug)]
pub enum Death {
    /// It lives, and is ready.
    Ready(Agent),
    /// It was killed.
    Killed,
    /// It ended by itself, and wrote this.
    Ended(ExitStatus, String),
}

impl Agent {
    /// Starts `command` on `node` as the agent.
    pub fn start(node: &Pod, command: Command) -> Result<Self> {
        let (mut agent, before) = Self::spawn(node, command)?;
        match agent.wait(before)? {
            None => Ok(agent),
            Some(status) => bail!("the agent ended ({status}): {}", tail(&agent.log, 4000)?),
        }
    }

    /// Starts `command` as an agent that may not live until it is ready.
    pub fn start_that_may_die(node: &Pod, command: Command) -> Result<Death> {
        let (mut agent, before) = Self::spawn(node, command)?;
        Ok(match agent.wait(before)? {
            None => Death::Ready(agent),
            Some(status) if status.signal() == Some(Signal::SIGKILL as i32) => Death::Killed,
            Some(status) => Death::Ended(status, tail(&agent.log, 4000)?),
        })
    }

    /// Starts it; says how long its log was before.
    fn spawn(node: &Pod, mut command: Command) -> Result<(Self, u64)> {
        let log = node.log("agent");
        let before = fs::metadata(&log).map_or(0, |found| found.len());
        crate::process::detach(&mut command, &log)?;
        let child = command.spawn().context("start the agent")?;
        let agent = Self {
            child,
            log,
            left: false,
        };
        Ok((agent, before))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it writes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Asks it to end, and waits. Says its exit code.
    pub fn stop(mut self) -> Result<i32> {
        kill(
            Pid::from_raw(i32::try_from(self.child.id())?),
            Signal::SIGTERM,
        )?;
        let started = Instant::now();
        while started.elapsed() < END_MAX {
            if let Some(status) = self.child.try_wait()? {
                return status.code().context("the agent was ended by a signal");
            }
            thread::sleep(Duration::from_millis(2));
        }
        bail!(
            "the agent does not end when asked to: {}",
            tail(&self.log, 2000)?
        )
    }

    /// Kills it, as a crash would.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it run on without us.
    pub fn leave(mut self) {
        self.left = true;
    }

    /// Waits until it is ready, or has ended.
    fn wait(&mut self, before: u64) -> Result<Option<ExitStatus>> {
        let started = Instant::now();
        while started.elapsed() < READY_MAX {
            let written = fs::read(&self.log)?;
            let fresh = written.get(usize::try_from(before)?..).unwrap_or_default();
            if String::from_utf8_lossy(fresh)
                .lines()
                .any(|line| line.contains(READY))
            {
                return Ok(None);
            }
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(2));
        }
        bail!(
            "the agent is not ready after {READY_MAX:?}: {}",
            tail(&self.log, 4000)?
        )
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
