//! Storms of connections from a pod, made by `steer-lab-client`.

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{IpAddr, SocketAddr},
    process::{Child, ChildStdin, Command, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::{bins, pod::Pod};

/// One attempt to reach a service, as the client saw it. Times are of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which thread of the client made it.
    pub thread: u32,
    /// Its number within the thread, from 0.
    pub n: u64,
    /// What was dialled.
    pub target: SocketAddr,
    /// When it began, in nanoseconds.
    pub start_ns: u64,
    /// How long `connect` took; for a socket that is not connected, how long sending took.
    pub connect_ns: u64,
    /// How long all of it took.
    pub total_ns: u64,
    /// What `getpeername`, or without a connection `recvfrom`, named.
    pub peer: Option<SocketAddr>,
    /// The client's own address.
    pub local: Option<SocketAddr>,
    /// The server's first line.
    pub text: Option<String>,
    /// Name of the error, if it failed: `ECONNREFUSED`; `TIMEOUT` if the client gave up.
    pub error: Option<String>,
    /// The call that failed.
    pub failed: Option<Call>,
}

/// The calls of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// `socket`, `bind` and options.
    Socket,
    /// `connect`.
    Connect,
    /// `send` or `sendto`.
    Send,
    /// `recv` or `recvfrom`.
    Receive,
}

impl Attempt {
    /// Which server answered: the first word of its line.
    pub fn identity(&self) -> Option<&str> {
        self.text.as_deref()?.split(' ').next()
    }

    /// At which of its addresses: the second word.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.text.as_deref()?.split(' ').nth(1)?.parse().ok()
    }

    /// Who answered, or why nobody did.
    pub fn outcome(&self) -> &str {
        self.error
            .as_deref()
            .or_else(|| self.identity())
            .unwrap_or("silence")
    }
}

/// How an attempt speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// A TCP connection.
    #[default]
    Tcp,
    /// `sendto` on a socket that is not connected.
    Udp,
    /// `connect`, then `send`.
    UdpConnected,
}

impl Manner {
    /// As the client's command line writes it.
    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpConnected => "udp-connected",
        }
    }
}

/// When a client stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many attempts of each thread.
    Count(u64),
    /// When its `Running` is told to stop.
    Told,
}

/// A storm to be made.
#[derive(Clone, Debug)]
pub struct Storm {
    /// What is dialled, in turn.
    pub targets: Vec<SocketAddr>,
    /// How.
    pub manner: Manner,
    /// Dials IPv4 from an IPv6 socket.
    pub mapped: bool,
    /// How many threads dial.
    pub threads: u32,
    /// When it ends.
    pub until: Until,
    /// Addresses to dial from, in turn; the kernel's choice if empty.
    pub sources: Vec<IpAddr>,
    /// Attempts of each thread in a second, if not as many as possible.
    pub rate: Option<u32>,
    /// How long a call may take.
    pub timeout: Duration,
}

impl Storm {
    /// `count` TCP connections to `target`, one after another.
    pub fn new(target: SocketAddr, count: u64) -> Self {
        Self {
            targets: vec![target],
            manner: Manner::Tcp,
            mapped: false,
            threads: 1,
            until: Until::Count(count),
            sources: Vec::new(),
            rate: None,
            timeout: Duration::from_secs(5),
        }
    }

    /// Makes the storm from `pod` and waits for its end. Attempts come in order for each thread.
    pub fn run(&self, pod: &Pod) -> Result<Vec<Attempt>> {
        if self.until == Until::Told {
            bail!("a storm without an end must be started, not run");
        }
        self.start(pod)?.finish()
    }

    /// Starts the storm from `pod`.
    pub fn start(&self, pod: &Pod) -> Result<Running> {
        let mut command = pod.command(bins::client()?)?;
        self.write_arguments(&mut command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("start the client")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the client has an output")?;
        // Read while it runs: a full pipe would hold the storm up.
        let reader = thread::spawn(move || {
            serde_json::Deserializer::from_reader(std::io::BufReader::new(stdout))
                .into_iter::<Attempt>()
                .map(|attempt| attempt.context("understand the client"))
                .collect()
        });
        Ok(Running {
            child,
            stdin,
            reader,
        })
    }

    fn write_arguments(&self, command: &mut Command) {
        for target in &self.targets {
            command.arg("--target").arg(target.to_string());
        }
        for source in &self.sources {
            command.arg("--source").arg(source.to_string());
        }
        command.arg("--manner").arg(self.manner.word());
        command.arg("--threads").arg(self.threads.to_string());
        command
            .arg("--timeout-ms")
            .arg(self.timeout.as_millis().to_string());
        if self.mapped {
            command.arg("--mapped");
        }
        if let Some(rate) = self.rate {
            command.arg("--rate").arg(rate.to_string());
        }
        match self.until {
            Until::Count(count) => command.arg("--count").arg(count.to_string()),
            Until::Told => command.arg("--until-eof"),
        };
    }
}

/// A storm that blows.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    reader: JoinHandle<Result<Vec<Attempt>>>,
}

impl Running {
    /// Tells the client to stop, if it does not end by itself, and hands over what it saw.
    pub fn finish(mut self) -> Result<Vec<Attempt>> {
        drop(self.stdin.take());
        let attempts = self
            .reader
            .join()
            .map_err(|_| anyhow!("reading the client panicked"))?;
        let mut complaint = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut complaint)?;
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the client failed ({status}): {complaint}");
        }
        attempts
    }
}

/// How often each outcome came.
pub fn tally(attempts: &[Attempt]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for attempt in attempts {
        *counts.entry(attempt.outcome()).or_default() += 1;
    }
    counts
}
