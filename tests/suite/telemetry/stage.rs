//! The bookstore with an agent that counts.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use steer::control::read_status;
use steer_tests::{agent::Agent, lab::Lab, topology};

use crate::scrape::{self, Scrape};

/// Where the agent is asked.
const PORT: u16 = 15_020;
/// How long something may take to be noticed: the kernel's records are read ten times a second, bytes of
/// open connections every five seconds.
const NOTICE_MAX: Duration = Duration::from_secs(30);

/// The bookstore and its agent.
pub(crate) struct Stage {
    // Before the lab: the agent goes first.
    agent: Option<Agent>,
    pub(crate) lab: Lab,
}

impl Stage {
    /// Raises it, with these steps of the example and these files in force.
    pub(crate) fn raise(purpose: &str, steps: &[&str], files: &[(&str, &str)]) -> Result<Self> {
        let lab = topology::bookstore(&Lab::fresh_name(purpose))?;
        for step in steps {
            let path = topology::bookstore_directory().join("steps").join(step);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            lab.configure(step, &text)?;
        }
        for (name, text) in files {
            lab.configure(name, text)?;
        }
        let agent = lab.agent_with(&["--metrics", &format!("127.0.0.1:{PORT}")])?;
        let stage = Self {
            agent: Some(agent),
            lab,
        };
        stage.eventually("the agent to answer scrapes", || {
            Ok(stage.get("/ready").is_ok())
        })?;
        Ok(stage)
    }

    /// Ends the agent; what it pinned stays in force.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let agent = self.agent.take().context("an agent runs")?;
        agent.stop().map(drop)
    }

    /// Asks the agent.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        scrape::get(&self.lab, PORT, path)
    }

    /// Everything that is counted now.
    pub(crate) fn scrape(&self) -> Result<Scrape> {
        Scrape::parse(&self.get("/metrics")?)
    }

    /// Waits until it holds.
    pub(crate) fn eventually(
        &self,
        what: &str,
        mut holds: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let started = Instant::now();
        while !holds()? {
            if started.elapsed() > NOTICE_MAX {
                let log = self
                    .agent
                    .as_ref()
                    .map(|agent| fs::read_to_string(agent.log()));
                let log = log.transpose()?.unwrap_or_default();
                let status = read_status(&self.lab.dirs().state())?.unwrap_or_default();
                bail!(
                    "waited {NOTICE_MAX:?} in vain for {what}; {}; {log}",
                    status["state"]
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
