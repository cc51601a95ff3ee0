//! `steer status`: whether the kernel does what was asked.

mod alive;
mod problems;
mod text;

pub(super) use text::outcome;
use {problems::problems, text::text};

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::{
    Exit,
    args::{Instance, Status},
    output,
};

use crate::{
    control::Lock,
    image::canary,
    kernel::{
        Attached, Maps, attached,
        heartbeat::{now_ns, overdue},
        idle_at, open_sockets, remembered, unguarded, unpinned,
    },
    live::Live,
    node::canary::{Canary, try_canary},
    plan::Capacity,
};

/// What was looked at.
struct Looked {
    live: Live,
    capacity: Capacity,
    /// Clients that AFFINITY remembers.
    remembered: usize,
    /// TCP sockets that `TCP_ORIGIN` holds.
    open_sockets: usize,
    /// Maps that are not pinned.
    unpinned: Vec<&'static str>,
    /// Interfaces of pods that have no guard.
    unguarded: Vec<u32>,
    /// The process of the agent, if it runs.
    agent: Option<String>,
    /// What the agent said last.
    said: Option<Value>,
    /// Programs, or why they cannot be looked at.
    programs: Result<Vec<Attached>, String>,
    /// How many pods' cgroups were looked at.
    pods: usize,
    /// Pods for whose cgroup programs do not run, and which.
    idle: Vec<(String, Vec<&'static str>)>,
    /// For how long the agent has not said that it lives, if that is too long.
    silent: Option<Duration>,
    canary: Canary,
}

/// What is told.
#[derive(Serialize)]
struct Told {
    /// Nothing is a problem.
    ok: bool,
    problems: Vec<String>,
    agent: Agent,
    generation: Option<u64>,
    /// A generation on its way into force.
    applying: Option<u32>,
    /// The generation whose rules were returned to.
    rolled_back: Option<u64>,
    /// What somebody else changed in the kernel, and the agent put right.
    repaired: Vec<String>,
    programs: Vec<Program>,
    /// What became of a connection that was made to see whether the kernel steers.
    canary: &'static str,
    /// Pods of this node whose own cgroup was looked at.
    pods: usize,
    maps: Vec<Fill>,
    reasons: BTreeMap<&'static str, u64>,
    /// What became of copies of requests, of which there were some.
    mirrored: BTreeMap<String, u64>,
    findings: BTreeMap<String, usize>,
    /// Lines of the access log, written and lost.
    #[serde(skip_serializing_if = "Value::is_null")]
    access_log: Value,
}

#[derive(Serialize)]
struct Agent {
    running: bool,
    pid: Option<String>,
    version: Option<String>,
    /// `applied`, or `refused` if what is written is not in force.
    configuration: Option<String>,
    paths: Vec<String>,
    cgroup: Option<String>,
    written: Option<String>,
}

#[derive(Serialize)]
struct Program {
    name: &'static str,
    number: Option<u32>,
    in_force: bool,
}

#[derive(Serialize)]
struct Fill {
    map: &'static str,
    used: usize,
    rows: u32,
}

/// Looks and tells.
pub(super) fn run(args: &Status, instance: &Instance) -> anyhow::Result<Exit> {
    if args.alive {
        return alive::run(args, instance);
    }
    let told = tell(&look(instance)?);
    output::write(&output::answer(&told, args.output.output, |told, wide| {
        text(told, wide)
    })?)?;
    Ok(if told.ok { Exit::Done } else { Exit::No })
}

fn look(instance: &Instance) -> anyhow::Result<Looked> {
    let pins = instance.pins();
    let maps = Maps::open(&pins)?;
    let said = instance.status()?;
    let cgroup = said.as_ref().and_then(|said| said["cgroup"].as_str());
    let programs = match cgroup {
        Some(cgroup) => attached(&pins, &PathBuf::from(cgroup))
            .map_err(|error| format!("{:#}", anyhow::Error::from(error))),
        None => Err("which cgroup is not known".to_owned()),
    };
    let live = maps.read()?;
    let pods = pods(said.as_ref());
    Ok(Looked {
        pods: pods.len(),
        idle: pods
            .iter()
            .filter_map(|(pod, cgroup)| {
                // A cgroup that is gone is that of a container that ended.
                let idle = idle_at(&pins, cgroup).ok()?;
                (!idle.is_empty()).then(|| (pod.clone(), idle))
            })
            .collect(),
        silent: overdue(&maps.egress.meta()?, now_ns()),
        canary: match cgroup {
            Some(cgroup) if live.services.contains_key(&canary::key()) => {
                try_canary(Path::new(cgroup))
            }
            _ => Canary::Untried("nothing was applied yet".to_owned()),
        },
        unguarded: unguarded(&pins, live.egress.ports.keys().copied()),
        live,
        capacity: maps.capacity(),
        remembered: remembered(&pins)?,
        open_sockets: open_sockets(&pins)?,
        unpinned: unpinned(&pins),
        agent: Lock::holder(&instance.state).context("looking for the agent")?,
        said,
        programs,
    })
}

/// Compares.
fn tell(looked: &Looked) -> Told {
    let agent = agent(looked);
    let programs = looked.programs.as_deref().unwrap_or_default();
    let programs = programs.iter().map(|found| Program {
        name: found.name,
        number: found.program,
        in_force: found.effective,
    });
    let problems = problems(looked, &agent);
    let said = looked.said.as_ref();
    let reasons = looked.live.reasons.iter();
    Told {
        ok: problems.is_empty(),
        problems,
        generation: said.and_then(|said| said["generation"].as_u64()),
        applying: Some(looked.live.applying).filter(|&generation| generation != 0),
        rolled_back: said.and_then(|said| said["rolled_back"].as_u64()),
        repaired: repaired(said),
        agent,
        programs: programs.collect(),
        canary: match looked.canary {
            Canary::Steered => "steered",
            Canary::Astray(_) => "astray",
            Canary::Untried(_) => "untried",
        },
        pods: looked.pods,
        maps: fills(looked),
        reasons: reasons
            .map(|(reason, count)| (reason.name(), *count))
            .collect(),
        mirrored: mirrored(said),
        findings: findings(said),
        access_log: said.map_or(Value::Null, |said| said["access_log"].clone()),
    }
}

fn agent(looked: &Looked) -> Agent {
    let text = |field: &str| {
        let said = looked.said.as_ref()?;
        Some(said[field].as_str()?.to_owned())
    };
    let paths = looked.said.as_ref().map(|said| &said["config"]);
    let paths = paths.and_then(Value::as_array).into_iter().flatten();
    Agent {
        running: looked.agent.is_some(),
        pid: looked.agent.clone(),
        version: text("version"),
        configuration: text("state"),
        paths: paths
            .filter_map(|path| Some(path.as_str()?.to_owned()))
            .collect(),
        cgroup: text("cgroup"),
        written: text("written"),
    }
}

fn fills(looked: &Looked) -> Vec<Fill> {
    let Looked { live, capacity, .. } = looked;
    let fill = |map, used, rows| Fill { map, used, rows };
    vec![
        fill("SERVICES", live.services.len(), capacity.keys),
        fill("ROUTES", live.routes.len(), capacity.rows),
        fill("ENDPOINTS", live.endpoints.len(), capacity.endpoints),
        fill("TICKETS", live.tickets.len(), capacity.rows),
        fill("COUNTERS", live.counters.len(), capacity.counters),
        fill("SOURCES", live.sources.len(), capacity.sources),
        fill("MEMBERS", live.members.len(), capacity.endpoints),
        fill(
            "AFFINITY",
            looked.remembered,
            steer_common::limits::AFFINITY_MAX,
        ),
        fill(
            "TCP_ORIGIN",
            looked.open_sockets,
            steer_common::limits::SOCKETS_MAX,
        ),
    ]
}

/// What the agent put right.
fn repaired(said: Option<&Value>) -> Vec<String> {
    let lines = said.and_then(|said| said["repaired"].as_array());
    let lines = lines.into_iter().flatten();
    lines
        .filter_map(|line| Some(line.as_str()?.to_owned()))
        .collect()
}

/// The cgroups of pods, as the agent found them.
fn pods(said: Option<&Value>) -> BTreeMap<String, PathBuf> {
    let pods = said.map(|said| said["pods"].clone());
    pods.and_then(|pods| serde_json::from_value(pods).ok())
        .unwrap_or_default()
}

/// What became of copies of requests.
fn mirrored(said: Option<&Value>) -> BTreeMap<String, u64> {
    let counts = said.and_then(|said| said["mirrored"].as_object());
    let counts = counts.into_iter().flatten();
    let counts = counts.filter_map(|(what, count)| Some((what.clone(), count.as_u64()?)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// How many findings of each severity.
fn findings(said: Option<&Value>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let found = said.and_then(|said| said["findings"].as_array());
    for finding in found.into_iter().flatten() {
        let severity = finding["severity"].as_str().unwrap_or_default();
        *counts.entry(severity.to_owned()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steer_common::reason::Reason;

    use super::*;
    use crate::cli::golden;

    fn looked() -> Looked {
        let mut live = Live::default();
        live.reasons.insert(Reason::Drawn, 100);
        live.reasons.insert(Reason::NoEndpoint, 2);
        Looked {
            live,
            capacity: Capacity::for_services(100),
            remembered: 3,
            open_sockets: 5,
            unpinned: Vec::new(),
            unguarded: Vec::new(),
            agent: Some("42".to_owned()),
            said: Some(json!({
                "pid": 42, "version": "0.1.0", "config": ["/etc/steer"], "cgroup": "/cgroup",
                "written": "2026-01-05T09:00:00Z", "generation": 7, "state": "applied",
                "findings": [{"severity": "warning"}, {"severity": "warning"}],
                "access_log": {"written": 12, "lost": 3},
            })),
            programs: Ok(vec![Attached {
                name: "steer_connect4",
                program: Some(1717),
                effective: true,
            }]),
            pods: 0,
            idle: Vec::new(),
            silent: None,
            canary: Canary::Steered,
        }
    }

    #[test]
    fn all_is_well() {
        let told = tell(&looked());
        assert!(told.ok, "{:?}", told.problems);
        golden::assert("status", &text(&told, false));
        golden::assert("status-wide", &text(&told, true));
    }

    #[test]
    fn each_thing_that_is_not_as_it_should_be_is_a_problem() {
        type Change = fn(&mut Looked);
        let changes: [(Change, &str); 9] = [
            (|looked| looked.agent = None, "no agent runs"),
            (
                |looked| looked.said = None,
                "the agent's files are not there",
            ),
            (
                |looked| looked.said.as_mut().unwrap()["state"] = json!("refused"),
                "what is written is refused",
            ),
            (
                |looked| looked.unpinned = vec!["ROUTES"],
                "the map ROUTES is not pinned",
            ),
            (
                |looked| looked.programs.as_mut().unwrap()[0].effective = false,
                "steer_connect4 is attached elsewhere, not to /cgroup",
            ),
            (
                |looked| looked.silent = Some(Duration::from_secs(7)),
                "the agent has not said for 7 s that it lives",
            ),
            (
                |looked| {
                    looked
                        .idle
                        .push(("shop/web-1".to_owned(), vec!["steer_connect4"]));
                },
                "steer_connect4 does not run for pod shop/web-1",
            ),
            (
                |looked| looked.canary = Canary::Astray("it was refused".to_owned()),
                "the canary: it was refused",
            ),
            (
                |looked| looked.programs = Err("gone".to_owned()),
                "the programs cannot be looked at: gone",
            ),
        ];
        for (change, wanted) in changes {
            let mut looked = looked();
            change(&mut looked);
            let told = tell(&looked);
            assert!(!told.ok);
            let [problem] = told.problems.as_slice() else {
                panic!("{wanted}: {:?}", told.problems);
            };
            assert!(problem.starts_with(wanted), "{problem}");
        }
    }
}
