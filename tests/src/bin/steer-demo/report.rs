//! What the demonstration prints: steps, what was applied, measured and held, and how it went.

use std::{
    env,
    io::{self, IsTerminal as _, Stdout, Write as _},
    time::Instant,
};

use anyhow::{Context as _, Result};

/// Writes to standard output and remembers what did not hold.
pub(crate) struct Report {
    out: Stdout,
    started: Instant,
    colours: bool,
    step: String,
    steps: usize,
    checks: usize,
    failed: Vec<String>,
}

impl Report {
    /// Nothing has been shown yet.
    pub(crate) fn new() -> Self {
        Self {
            out: io::stdout(),
            started: Instant::now(),
            colours: io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none(),
            step: String::new(),
            steps: 0,
            checks: 0,
            failed: Vec::new(),
        }
    }

    /// Says something, with the time since the start.
    pub(crate) fn progress(&self, text: &str) -> Result<()> {
        let time = format!("{:6.1} s", self.started.elapsed().as_secs_f64());
        self.line(&format!("{}  {text}", self.paint("2", &time)))
    }

    /// Begins a step.
    pub(crate) fn step(&mut self, name: &str, title: &str) -> Result<()> {
        name.clone_into(&mut self.step);
        self.steps += 1;
        self.line("")?;
        self.progress(&self.paint("1", &format!("{name}  {title}")))
    }

    /// A file was given to the agent.
    pub(crate) fn applied(&self, what: &str) -> Result<()> {
        self.item("applied", what)
    }

    /// Clients counted.
    pub(crate) fn measured(&self, what: &str) -> Result<()> {
        self.item("measured", what)
    }

    /// A command was asked, and this is what it printed.
    pub(crate) fn asked(&self, command: &str, output: &str) -> Result<()> {
        self.item("asked", &self.paint("36", &format!("$ {command}")))?;
        for line in output.lines() {
            self.line(&format!("              {}", line.trim_end()))?;
        }
        Ok(())
    }

    /// Something had to hold.
    pub(crate) fn check(&mut self, what: &str, held: bool) -> Result<()> {
        self.checks += 1;
        let verdict = if held {
            self.paint("1;32", "PASS")
        } else {
            self.failed.push(format!("{}: {what}", self.step));
            self.paint("1;31", "FAIL")
        };
        self.line(&format!("    {verdict}      {what}"))
    }

    /// Sums up; true if everything held.
    pub(crate) fn conclude(&self) -> Result<bool> {
        self.line("")?;
        for failed in &self.failed {
            self.line(&format!("{} {failed}", self.paint("1;31", "FAIL")))?;
        }
        let held = self.failed.is_empty();
        let (failed, checks) = (self.failed.len(), self.checks);
        let text = if held {
            format!("all {} steps held, {checks} checks", self.steps)
        } else {
            format!("{failed} of {checks} checks did not hold")
        };
        self.progress(&self.paint(if held { "1;32" } else { "1;31" }, &text))?;
        Ok(held)
    }

    /// Writes a line.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        writeln!(self.out.lock(), "{text}").context("write to standard output")
    }

    fn item(&self, name: &str, text: &str) -> Result<()> {
        self.line(&format!("    {name:8}  {text}"))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
