//! `steer status`: whether the kernel does what was asked.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use steer_common::reason::{Outcome, Reason};

use super::{
    Exit,
    args::{Instance, Status},
    output::{self, BAD, CAREFUL, GOOD, counted, paint},
    text::Text,
};
use crate::{
    control::Lock,
    kernel::{Attached, Maps, attached, open_sockets, remembered, unguarded, unpinned},
    live::Live,
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
    maps: Vec<Fill>,
    reasons: BTreeMap<&'static str, u64>,
    findings: BTreeMap<String, usize>,
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
    Ok(Looked {
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
        maps: fills(looked),
        reasons: reasons
            .map(|(reason, count)| (reason.name(), *count))
            .collect(),
        findings: findings(said),
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

/// What is not as it should be.
fn problems(looked: &Looked, agent: &Agent) -> Vec<String> {
    let mut problems = Vec::new();
    if !agent.running {
        problems.push(
            "no agent runs: what was applied last stays in force, changes do not come into force"
                .to_owned(),
        );
    }
    if looked.said.is_none() {
        problems.push("the agent's files are not there: name their directory with --state".into());
    }
    if agent.configuration.as_deref() == Some("refused") {
        problems.push(
            "what is written is refused, the last good configuration stays in force: `steer \
             check` says why"
                .to_owned(),
        );
    }
    match (looked.live.applying, agent.running) {
        (0, _) | (_, true) => {}
        (generation, false) => problems.push(format!(
            "the agent died while it applied generation {generation}: each service is as before or as \
             wanted, and the next agent finishes"
        )),
    }
    let unguarded = looked.unguarded.iter();
    problems.extend(unguarded.map(|index| {
        format!(
            "interface {index}, of a pod, has no guard: nothing without a socket is refused there"
        )
    }));
    let unpinned = looked.unpinned.iter();
    problems.extend(unpinned.map(|map| format!("the map {map} is not pinned")));
    let cgroup = agent.cgroup.as_deref().unwrap_or("the cgroup");
    match &looked.programs {
        Ok(programs) => {
            let idle = programs.iter().filter(|found| !found.effective);
            problems.extend(idle.map(|found| match found.program {
                Some(_) => format!("{} is attached elsewhere, not to {cgroup}", found.name),
                None => format!("{} is not attached to {cgroup}", found.name),
            }));
        }
        // Said already if it is for lack of the agent's files.
        Err(error) if looked.said.is_some() => {
            problems.push(format!("the programs cannot be looked at: {error}"));
        }
        Err(_) => {}
    }
    problems
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

/// The generation in force, and how it came there.
fn generation(told: &Told) -> String {
    let number = told.generation;
    let mut text = number.map_or_else(|| "unknown".to_owned(), |found| found.to_string());
    if let Some(next) = told.applying {
        text += &format!(", {next} is being applied");
    }
    if let Some(to) = told.rolled_back {
        text += &paint(CAREFUL, &format!(", rolled back to the rules of {to}"));
    }
    text
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

fn text(told: &Told, wide: bool) -> String {
    let unknown = || "unknown".to_owned();
    let agent = match &told.agent.pid {
        Some(pid) => paint(GOOD, &format!("runs (pid {pid})")),
        None => paint(BAD, "does not run"),
    };
    let configuration = match told.agent.configuration.as_deref() {
        Some("refused") => paint(BAD, "refused"),
        Some(state) => paint(GOOD, state),
        None => unknown(),
    };
    let findings: Vec<String> = told
        .findings
        .iter()
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    let findings = if findings.is_empty() {
        "none".to_owned()
    } else {
        paint(CAREFUL, &findings.join(", ")) + " (`steer check`)"
    };
    let mut lines = vec![
        ("agent", agent),
        ("configuration", configuration),
        ("generation", generation(told)),
        ("findings", findings),
        ("programs", programs(told)),
    ];
    if wide {
        lines.push(("reads", told.agent.paths.join(", ")));
        lines.push(("cgroup", told.agent.cgroup.clone().unwrap_or_default()));
        lines.push(("written", told.agent.written.clone().unwrap_or_default()));
    }
    let mut text = Text::default();
    for (name, value) in lines {
        text.line(format_args!("{name:<14} {value}"));
    }
    tables(&mut text, told, wide);
    if !told.problems.is_empty() || !told.repaired.is_empty() {
        text.gap();
    }
    for repair in told.repaired.iter().rev().take(3) {
        text.line(format_args!("{} {repair}", paint(CAREFUL, "repaired")));
    }
    for problem in &told.problems {
        text.line(format_args!("{} {problem}", paint(BAD, "problem")));
    }
    text.finish()
}

fn programs(told: &Told) -> String {
    let in_force = told.programs.iter().filter(|found| found.in_force).count();
    let all = counted(told.programs.len(), "program");
    let style = if in_force == told.programs.len() && in_force > 0 {
        GOOD
    } else {
        BAD
    };
    paint(style, &format!("{in_force} of {all} in force"))
}

/// Programs if `wide`; maps; reasons that occurred, or all if `wide`.
fn tables(text: &mut Text, told: &Told, wide: bool) {
    if wide {
        text.gap();
        text.heading("PROGRAMS");
        for found in &told.programs {
            let number = found
                .number
                .map_or_else(|| "-".to_owned(), |number| number.to_string());
            let state = if found.in_force {
                "in force"
            } else {
                "not in force"
            };
            text.line(format_args!("  {:<20} {number:>8}  {state}", found.name));
        }
    }
    text.gap();
    text.heading("MAPS (rows in use)");
    for Fill { map, used, rows } in &told.maps {
        text.line(format_args!("  {map:<20} {used:>8} of {rows}"));
    }
    let occurred = |reason: &Reason| told.reasons.get(reason.name()).copied().unwrap_or_default();
    let shown: Vec<&Reason> = Reason::ALL
        .iter()
        .filter(|reason| wide || occurred(reason) > 0)
        .collect();
    if !shown.is_empty() {
        text.gap();
        text.heading("REASONS (since the maps were made)");
    }
    for reason in shown {
        let (name, count) = (reason.name(), occurred(reason));
        let what = outcome(reason.outcome());
        text.line(format_args!("  {name:<20} {count:>8}  {what}"));
    }
}

/// A word for what happened.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Steered => "steered",
        Outcome::Untouched => "left as it was",
        Outcome::Refused => "refused",
        Outcome::Restored => "told what it dialled",
        Outcome::Allowed => "let through",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            })),
            programs: Ok(vec![Attached {
                name: "steer_connect4",
                program: Some(1717),
                effective: true,
            }]),
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
        let changes: [(Change, &str); 6] = [
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
