//! The clients: curl, Python's `http.client`, Node.js, each over connections that are kept.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use steer_tests::{need, pod::Pod, server::http::Answer};

/// A request of somebody inside.
pub(crate) const INTERNAL: &str = "internal";
/// A request of anybody else.
pub(crate) const PUBLIC: &str = "-";

/// Alternately one of each.
pub(crate) fn both(count: usize) -> Vec<&'static str> {
    [INTERNAL, PUBLIC].into_iter().cycle().take(count).collect()
}

/// The versions that are to answer these.
pub(crate) fn expected(cohorts: &[&str]) -> Vec<String> {
    let version = |cohort: &&str| if *cohort == INTERNAL { "v2" } else { "v1" };
    cohorts
        .iter()
        .map(|cohort| version(cohort).to_owned())
        .collect()
}

/// Asks with curl over one connection; says which version answered each time.
pub(crate) fn curl(
    pod: &Pod,
    url: &str,
    cohorts: &[&str],
    options: &[&str],
) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for cohort in cohorts {
        if !arguments.is_empty() {
            arguments.push("--next".to_owned());
        }
        arguments.extend(["-sS", "--fail", "--max-time", "10"].map(ToOwned::to_owned));
        arguments.extend(["--happy-eyeballs-timeout-ms", "5000"].map(ToOwned::to_owned));
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        if *cohort != PUBLIC {
            arguments.extend(["-H".to_owned(), format!("x-istio-cohort: {cohort}")]);
        }
        arguments.push(url.to_owned());
    }
    answers(&pod.run("curl", &arguments)?)
}

fn answers(text: &str) -> Result<Vec<String>> {
    serde_json::Deserializer::from_str(text)
        .into_iter::<Answer>()
        .map(|answer| Ok(answer.context("understand the web server")?.version))
        .collect()
}

/// Asks with curl, each time over a connection of its own; says which version answered each time.
pub(crate) fn fresh(pod: &Pod, host: &str, count: usize) -> Result<Vec<String>> {
    let url = format!("http://{host}/items");
    let mut arguments = vec![
        "-sS",
        "--fail",
        "--max-time",
        "10",
        "-H",
        "Connection: close",
    ];
    arguments.extend(vec![&*url; count]);
    answers(&pod.run("curl", &arguments)?)
}

/// Asks with Python over one connection; says whom that is to, as the client is told, and which version
/// answered each time.
pub(crate) fn python(pod: &Pod, host: &str, cohorts: &[&str]) -> Result<(String, Vec<String>)> {
    let script = include_str!("clients.py");
    let mut words = vec!["-c", script, host, "80"];
    words.extend(cohorts);
    let mut lines = run(pod, "python3", &words)?.into_iter();
    let peer = lines.next().context("python3 named no peer")?;
    Ok((peer, lines.collect()))
}

/// Asks with Node.js over a pool of connections, all at once; says which version answered each time.
pub(crate) fn node(pod: &Pod, url: &str, cohorts: &[&str]) -> Result<Vec<String>> {
    let mut words = vec!["-e", include_str!("clients.js"), "--", url];
    words.extend(cohorts);
    let mut lines = run(pod, "node", &words)?;
    let connections = lines.pop().context("node printed nothing")?;
    ensure!(connections == "4 connections", "{connections}");
    Ok(lines)
}

/// Asks with Node.js over one connection of HTTP/2, all at once; says which version answered each time.
pub(crate) fn node_http2(pod: &Pod, url: &str, cohorts: &[&str]) -> Result<Vec<String>> {
    let mut words = vec!["-e", include_str!("h2.js"), "--", url];
    words.extend(cohorts);
    run(pod, "node", &words)
}

/// Whether Node.js is on this machine.
pub(crate) fn has_node() -> bool {
    need::find("node").is_ok()
}

fn run(pod: &Pod, program: &str, words: &[&str]) -> Result<Vec<String>> {
    let mut command = pod.command(need::find(program)?)?;
    let output = command.args(words).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!(
            "{program} on {}: {}: {}",
            pod.name(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(ToOwned::to_owned).collect())
}
