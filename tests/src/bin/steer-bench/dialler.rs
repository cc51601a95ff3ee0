//! The holder's side of a worker: a process in a pod that dials on command.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    ops::Range,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context as _, Result, bail};
use steer_tests::pod::Pod;

/// A worker that waits for commands. Dropped, it ends.
pub(crate) struct Dialler {
    child: Child,
    /// Gone when the worker is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Dialler {
    /// Starts a worker in a pod.
    pub(crate) fn start(pod: &Pod) -> Result<Self> {
        let mut command = pod.command(env::current_exe()?)?;
        command
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("start a worker on {}", pod.name()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("it has an output")?);
        Ok(Self {
            child,
            input,
            output,
        })
    }

    /// `count` TCP connections; says the medians of connect and of connect with the first byte.
    pub(crate) fn tcp(&mut self, target: SocketAddr, count: usize) -> Result<(f64, f64)> {
        let answer = self.ask(&format!("tcp {target} {count}"))?;
        let (connect, first) = answer
            .split_once(' ')
            .context("a worker answers two numbers")?;
        Ok((connect.parse()?, first.parse()?))
    }

    /// `count` questions to a resolver, by a socket each; says the median of question and answer.
    pub(crate) fn dns(&mut self, resolver: SocketAddr, count: usize) -> Result<f64> {
        Ok(self.ask(&format!("dns {resolver} {count}"))?.parse()?)
    }

    /// `count` connects of one UDP socket to `services`, each time to one `step` further.
    pub(crate) fn udp(&mut self, count: u32, services: &Range<u32>, step: u32) -> Result<()> {
        let (first, length) = (services.start, services.len());
        self.ask(&format!("udp {count} {first} {length} {step}"))
            .map(drop)
    }

    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        let input = self.input.as_mut().context("the worker has ended")?;
        writeln!(input, "{command}")?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("a worker failed at: {command}");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Dialler {
    fn drop(&mut self) {
        drop(self.input.take());
        // It reads the end of its input.
        let _ended = self.child.wait();
    }
}
