//! The bookstore with an agent that counts, and the page of it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use steer_tests::{agent::Agent, lab::Lab, topology};

use crate::browser::Browser;

/// Where the agent is asked.
const PORT: u16 = 15_020;
/// How long something may take to be seen: an agent's records, a sample a second, a page.
const SEEN_MAX: Duration = Duration::from_secs(40);

/// The bookstore, its agent, and who serves the page.
pub(crate) struct Stage {
    // Before the lab: those that run in it go first.
    agent: Option<Agent>,
    dashboard: Child,
    pub(crate) url: String,
    pub(crate) lab: Lab,
}

impl Stage {
    /// Raises it, with these files in force, and these words for `steer dashboard`.
    pub(crate) fn raise(purpose: &str, files: &[(&str, &str)], words: &[&str]) -> Result<Self> {
        let lab = topology::bookstore(&Lab::fresh_name(purpose))?;
        for (name, text) in files {
            lab.configure(name, text)?;
        }
        let agent = lab.agent_with(&["--metrics", &format!("127.0.0.1:{PORT}")])?;
        let mut command = lab.steer("dashboard")?;
        let mut dashboard = command
            .args(["--listen", "127.0.0.1:15090"])
            .args(words)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        BufReader::new(dashboard.stdout.take().context("an output")?).read_line(&mut url)?;
        ensure!(
            url == "http://127.0.0.1:15090/\n",
            "it says where it is: {url}"
        );
        Ok(Self {
            agent: Some(agent),
            dashboard,
            url: url.trim_end().to_owned(),
            lab,
        })
    }

    /// Ends the agent; what it pinned stays in force.
    pub(crate) fn stop_agent(&mut self) -> Result<()> {
        let agent = self.agent.take().context("an agent runs")?;
        agent.stop().map(drop)
    }

    /// A pod asks so many times, over a connection each.
    pub(crate) fn ask(&self, pod: &str, url: &str, times: usize) -> Result<()> {
        let mut words = vec!["-sS4", "--fail", "--fail-early", "--max-time", "10"];
        words.extend(["-H", "Connection: close"]);
        words.extend(vec![url; times]);
        self.lab.pod(pod)?.run("curl", &words).map(drop)
    }
}

/// The text of a step of the example.
pub(crate) fn step(name: &str) -> Result<String> {
    let path = topology::bookstore_directory().join("steps").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Waits until a script returns true; otherwise tells what the page shows.
pub(crate) fn eventually(browser: &Browser<'_>, what: &str, script: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        if browser.run(script)? == serde_json::Value::Bool(true) {
            return Ok(());
        }
        if started.elapsed() > SEEN_MAX {
            let seen = browser.text("return document.body.innerText")?;
            bail!("waited {SEEN_MAX:?} in vain for {what}; the page shows: {seen}");
        }
        thread::sleep(Duration::from_millis(200));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _killed = self.dashboard.kill();
        let _reaped = self.dashboard.wait();
    }
}
