//! A file that is saved under a running agent: until its row is in the kernel. And what the agent
//! takes of memory.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use steer::kernel::{Maps, Pins};
use steer_common::Proto;
use steer_tests::{agent::Agent, lab::Lab};

use crate::{
    bpf,
    cluster::{self, CHANGED, ENDPOINTS, SERVICES},
    images,
    report::{Report, median, quartiles, say},
};

/// How long a change may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the kernel is asked.
const PAUSE: Duration = Duration::from_micros(50);
/// People do not save without a rest.
const REST: Duration = Duration::from_millis(120);

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("bench-saved")).build()?;
    lab.configure("cluster.yaml", &cluster::services())?;
    lab.configure("rule.yaml", &cluster::split(CHANGED, 900))?;
    let started = Instant::now();
    let agent = lab.agent()?;
    say(&format!(
        "steer agent on {SERVICES} services with {} endpoints: ready after {:.0} ms, parsing included",
        SERVICES * ENDPOINTS,
        started.elapsed().as_secs_f64() * 1e3
    ));
    let times = save(&lab, if full { 300 } else { 30 })?;
    let p50 = median(&times);
    let [_, _, high] = quartiles(&times);
    let worst = times.iter().copied().fold(0.0, f64::max);
    say(&format!(
        "  a VirtualService is saved, {} times: in the kernel after {p50:.1} ms (median), 3 of 4 within {high:.1}, worst {worst:.1}",
        times.len()
    ));
    let rss = memory(&agent, NOW)?;
    let maps = maps(&agent)?;
    say(&format!(
        "  memory: the agent {rss:.0} MB, its maps in the kernel {maps:.0} MB"
    ));
    report.at_most("apply.file_to_kernel_ms_p50", p50, 10.0);
    report.figure("apply.agent_rss_mb", rss);
    report.figure("apply.maps_mb", maps);
    agent.stop()?;
    Ok(())
}

/// Milliseconds from a write to the row in the kernel.
fn save(lab: &Lab, count: u32) -> Result<Vec<f64>> {
    let maps = Maps::open(&Pins::new(lab.dirs().pins()))?;
    let key = images::key(CHANGED, 0, Proto::Tcp);
    let generation = || -> Result<u32> {
        let route = maps.route(&key)?;
        Ok(route
            .context("the service is not in the kernel")?
            .generation)
    };
    let mut times = Vec::new();
    for round in 0..count {
        let before = generation()?;
        let text = cluster::split(CHANGED, 899 - round % 800);
        let started = Instant::now();
        lab.configure("rule.yaml", &text)?;
        while generation()? == before {
            ensure!(
                started.elapsed() < PATIENCE,
                "the change does not arrive in the kernel"
            );
            thread::sleep(PAUSE);
        }
        times.push(started.elapsed().as_secs_f64() * 1e3);
        thread::sleep(REST);
    }
    Ok(times)
}

/// What /proc/PID/status calls the memory that a process has, and the most that it has had.
pub(crate) const NOW: &str = "VmRSS:";
pub(crate) const AT_MOST: &str = "VmHWM:";

/// Memory of the process, in MB.
pub(crate) fn memory(agent: &Agent, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kb = kb.with_context(|| format!("the kernel tells no {field}"))?;
    Ok(kb.trim().parse::<u64>()? as f64 * 1024.0 / 1e6)
}

/// Memory of the maps that the process holds, in MB: each map once, whatever holds it.
fn maps(agent: &Agent) -> Result<f64> {
    let directory = format!("/proc/{}/fdinfo", agent.pid());
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(&directory)? {
        // Descriptors come and go.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let number = |name: &str| bpf::field(&text, name);
        if let (Some(id), Some(bytes)) = (number("map_id"), number("memlock")) {
            found.insert(id, bytes);
        }
    }
    ensure!(!found.is_empty(), "the agent holds no maps");
    Ok(found.values().sum::<u64>() as f64 / 1e6)
}
