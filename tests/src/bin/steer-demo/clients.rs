//! The clients: curl, Python's `http.client`, and a Python client that never stops asking.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use steer_tests::{need, pod::Pod, server::http::Answer};

/// What runs in the client's pod.
const SCRIPT: &str = include_str!("client.py");
const SESSION: &str = include_str!("session.py");
const NODE: &str = include_str!("kept.js");
/// The Python that packages of the distribution are for.
const DISTRIBUTION_PYTHON: &str = "/usr/bin/python3";
/// How long the steady client may take to answer what was asked of it.
const STEADY_MAX: Duration = Duration::from_secs(20);

/// Whether connections are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// A connection for each request.
    Fresh,
    /// One connection for all requests.
    Kept,
}

/// Fetches `url` with curl; says which version answered each time.
pub(crate) fn curl(pod: &Pod, url: &str, count: usize, manner: Connections) -> Result<Vec<String>> {
    curl_as(pod, url, count, manner, &[])
}

/// The same with options.
pub(crate) fn curl_as(
    pod: &Pod,
    url: &str,
    count: usize,
    manner: Connections,
    options: &[&str],
) -> Result<Vec<String>> {
    let mut arguments = vec!["-sS", "--fail", "--max-time", "5"];
    // On a slow machine curl would also try the service's other address: a connection too many.
    arguments.extend(["--happy-eyeballs-timeout-ms", "5000"]);
    if manner == Connections::Fresh {
        arguments.extend(["-H", "Connection: close"]);
    }
    arguments.extend(options);
    arguments.extend(vec![url; count]);
    versions(&pod.run("curl", &arguments)?)
}

/// Fetches `url` with curl over one connection, every other time as somebody of the house; says which
/// version answered each time.
pub(crate) fn curl_cohorts(pod: &Pod, url: &str, count: usize) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for n in 0..count {
        if n > 0 {
            arguments.push("--next");
        }
        arguments.extend(["-sS", "--fail", "--max-time", "5"]);
        arguments.extend(["--happy-eyeballs-timeout-ms", "5000"]);
        if n % 2 == 0 {
            arguments.extend(["-H", "x-istio-cohort: internal"]);
        }
        arguments.push(url);
    }
    versions(&pod.run("curl", &arguments)?)
}

fn versions(text: &str) -> Result<Vec<String>> {
    serde_json::Deserializer::from_str(text)
        .into_iter::<Answer>()
        .map(|answer| Ok(answer.context("understand the web server")?.version))
        .collect()
}

/// Clients that keep their connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// A session of Python's package requests.
    Session,
    /// A pool of Node.js.
    Pool,
    /// A connection of HTTP/2, of Node.js.
    Http2,
}

/// Fetches `url` over connections that are kept; says which version answered each time.
pub(crate) fn kept(pod: &Pod, url: &str, count: usize, kept: Kept) -> Result<Vec<String>> {
    let count = count.to_string();
    let text = match kept {
        Kept::Session => pod.run(DISTRIBUTION_PYTHON, &["-c", SESSION, url, &count])?,
        Kept::Pool => pod.run("node", &["-e", NODE, "--", url, &count, "pool"])?,
        Kept::Http2 => pod.run("node", &["-e", NODE, "--", url, &count, "http2"])?,
    };
    Ok(text.lines().map(ToOwned::to_owned).collect())
}

/// Fetches `url` with Python's `http.client`; says which version answered each time.
pub(crate) fn python(
    pod: &Pod,
    url: &str,
    count: usize,
    manner: Connections,
) -> Result<Vec<String>> {
    let mut command = script(pod, url, &count.to_string(), manner)?;
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("run python3")?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("python3 on {}: {}: {complaint}", pod.name(), output.status);
    }
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Request>();
    answers
        .map(|answer| answer.context("understand python3")?.answered())
        .collect()
}

fn script(pod: &Pod, url: &str, count: &str, manner: Connections) -> Result<Command> {
    let mut command = pod.command(need::find("python3")?)?;
    let manner = match manner {
        Connections::Fresh => "close",
        Connections::Kept => "keep-alive",
    };
    command.args(["-c", SCRIPT, url, count, manner]);
    Ok(command)
}

/// One request, as the Python client saw it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    /// When it began, on `CLOCK_MONOTONIC`.
    start_ns: u64,
    version: Option<String>,
    error: Option<String>,
}

impl Request {
    /// The version that answered; a failure is an error.
    fn answered(self) -> Result<String> {
        if let Some(error) = self.error {
            bail!("a request failed: {error}");
        }
        self.version.context("the answer names no version")
    }
}

/// A client that asks over and over, a new connection each time, until it is told to stop.
pub(crate) struct Steady {
    child: Child,
    stdin: Option<ChildStdin>,
    seen: Arc<Mutex<Vec<Request>>>,
    reader: Option<JoinHandle<Result<()>>>,
}

impl Steady {
    /// Starts it in `pod`.
    pub(crate) fn start(pod: &Pod, url: &str) -> Result<Self> {
        let mut command = script(pod, url, "until-eof", Connections::Fresh)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("start python3")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("python3 has an output")?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let request = serde_json::from_str(&line?).context("understand python3")?;
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(request);
            }
            Ok(())
        });
        Ok(Self {
            child,
            stdin,
            seen,
            reader: Some(reader),
        })
    }

    /// Waits for `count` requests that begin from now on; says which versions answered.
    pub(crate) fn next(&self, count: usize) -> Result<Vec<String>> {
        let from = now_ns()?;
        let started = Instant::now();
        while started.elapsed() < STEADY_MAX {
            let requests: Vec<Request> = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let later = seen
                    .iter()
                    .rev()
                    .take_while(|request| request.start_ns >= from);
                let mut later: Vec<_> = later.cloned().collect();
                later.reverse();
                later
            };
            if requests.len() >= count {
                return requests
                    .into_iter()
                    .take(count)
                    .map(Request::answered)
                    .collect();
            }
            thread::sleep(Duration::from_millis(2));
        }
        bail!("the client that keeps asking made fewer than {count} requests in {STEADY_MAX:?}")
    }

    /// Ends it; says how many requests it made and what went wrong with any of them.
    pub(crate) fn stop(mut self) -> Result<(usize, Vec<String>)> {
        drop(self.stdin.take());
        if let Some(reader) = self.reader.take() {
            let read = reader.join();
            read.ok().context("reading the client panicked")??;
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the client that keeps asking failed: {status}");
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = seen.iter().filter_map(|request| request.error.clone());
        Ok((seen.len(), failed.collect()))
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        // It has ended already unless a step failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn now_ns() -> Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    u64::try_from(now.as_nanos()).context("the clock is past its end")
}
