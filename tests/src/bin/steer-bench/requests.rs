//! Whether every request is answered, by the version that its header asks for, in its order, and whole: over
//! connections that are kept, with requests that are cut anywhere, sent many at once, with bodies both ways. And
//! whether each hundred of requests has the shares of a rule with weights.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod weights;

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{
    lab::{HostSpec, Lab},
    pod::Pod,
};

use crate::{
    agent::{self, memory},
    dialler::Dialler,
    l7,
    report::{Report, say},
};

/// How many requests.
const QUICK: u64 = 20_000;
const FULL: u64 = 1_000_000;
/// How many clients at once.
const CLIENTS: u64 = 16;
/// Connections whose answers nobody reads.
const SILENT: u64 = 64;
/// How long they stay.
const SILENCE: Duration = Duration::from_secs(3);

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let pod = |name: &str, address: [u8; 4]| HostSpec::pod(name, [address.into()]);
    let lab = Lab::builder(&Lab::fresh_name("bench-requests"))
        .hosts([pod("v1", [10, 10, 0, 31]), pod("v2", [10, 10, 0, 32])])
        .hosts([pod(l7::HEADER, [10, 10, 1, 3])])
        .build()?;
    let (first, _v1) = serve(lab.pod("v1")?)?;
    let (second, _v2) = serve(lab.pod("v2")?)?;
    lab.configure("cluster.yaml", &l7::configuration(first, second))?;
    lab.configure("weighted.yaml", weights::CONFIGURATION)?;
    // So that connections of one client are on several, wherever this runs.
    let agent = lab.agent_with(&["--proxy-threads", "2"])?;
    let service = l7::targets(second)[l7::HEADER];
    l7::await_hand_over(&lab, service)?;
    let mut dialler = Dialler::start(lab.pod(l7::HEADER)?)?;
    let count = if full { FULL } else { QUICK };
    let answer = dialler.ask(&format!("requests {service} {count} {CLIENTS}"))?;
    let found: client::Found = serde_json::from_str(&answer)?;
    report.figure("l7.requests", found.answered as f64);
    for (name, count) in [
        ("l7.misrouted", found.misrouted),
        ("l7.lost", found.lost),
        ("l7.reordered", found.reordered),
        ("l7.corrupted", found.corrupted),
    ] {
        report.at_most(name, count as f64, 0.0);
    }
    if let Some(first) = &found.first {
        say(&format!("the first that was wrong: {first}"));
    }
    split(&lab, &mut dialler, count, report)?;
    let before = memory(&agent, agent::NOW)?;
    dialler.ask(&format!("silent {service} {SILENT}"))?;
    thread::sleep(SILENCE);
    let grown = (memory(&agent, agent::NOW)? - before).max(0.0);
    report.figure("l7.rss_mb_slow_reader", grown);
    drop(dialler);
    agent.stop()?;
    Ok(())
}

/// How exact weights are: of requests that follow each other, over connections one after the other, in any
/// window; of those of many clients at once, all in all.
fn split(lab: &Lab, dialler: &mut Dialler, count: u64, report: &mut Report) -> Result<()> {
    let service = SocketAddr::from(weights::ADDRESS);
    l7::await_hand_over(lab, service)?;
    let mut ask = |clients: u64| -> Result<client::Found> {
        let answer = dialler.ask(&format!("weighted {service} {count} {clients}"))?;
        let found: client::Found = serde_json::from_str(&answer)?;
        let wrong = found.lost + found.reordered + found.corrupted;
        ensure!(wrong == 0, "{wrong} requests went wrong: {:?}", found.first);
        Ok(found)
    };
    let alone = ask(1)?.shares;
    let windows = alone.of_windows().context("a whole window of requests")?;
    let all = ask(CLIENTS)?.shares;
    let all = all.of_all().context("shares that are whole requests")?;
    report.at_most("l7.split_error", windows.max(all) as f64, 0.0);
    Ok(())
}

/// A server in a pod, which ends with what is returned.
fn serve(pod: &Pod) -> Result<(SocketAddr, Dialler)> {
    let mut server = Dialler::start(pod)?;
    let port = l7::PORT;
    let said = server.ask(&format!("serve {} {port}", pod.name()))?;
    ensure!(said == "ready", "{said}");
    let at = pod.v4().context("the address of a server")?;
    Ok((SocketAddr::new(at, port), server))
}

/// The body that stands for a number: any piece of another one, or of another place, differs.
pub(crate) fn pattern(id: u64, at: u64) -> u8 {
    let mixed = (id ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed.to_le_bytes()[7]
}

/// What a body adds up to (FNV-1a).
#[derive(Clone, Copy)]
pub(crate) struct Sum(pub(crate) u64);

impl Sum {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}
