//! `steer status`: whether the kernel does what was asked.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{
    Exit,
    args::{Format, Instance, Status},
    output,
};
use crate::{
    control::{Lock, LockError},
    kernel::{Attached, Maps, attached, unpinned},
};

#[derive(Serialize)]
struct Told {
    ok: bool,
    agent: String,
    generation: Value,
    state: Value,
    programs: BTreeMap<&'static str, String>,
    maps: BTreeMap<&'static str, String>,
    reasons: BTreeMap<&'static str, u64>,
    findings: BTreeMap<String, usize>,
    problems: Vec<String>,
}

/// Looks and tells.
pub(super) fn run(args: &Status, instance: &Instance) -> anyhow::Result<Exit> {
    let maps = Maps::open(&instance.pins())?;
    let live = maps.read()?;
    let status = instance.status()?.unwrap_or_default();
    let mut problems: Vec<String> = unpinned(&instance.pins())
        .iter()
        .map(|name| format!("the map {name} is not pinned"))
        .collect();
    let agent = match Lock::take(&instance.state) {
        Err(LockError::Taken { pid }) => format!("runs (pid {pid})"),
        Ok(_) => "does not run; what was applied last stays in force".to_owned(),
        Err(error) => error.to_string(),
    };
    let cgroup = PathBuf::from(status["cgroup"].as_str().unwrap_or_default());
    let programs = attached(&instance.pins(), &cgroup).unwrap_or_default();
    problems.extend(
        programs
            .iter()
            .filter(|found| !found.effective)
            .map(|found| format!("{} is not attached to {}", found.name, cgroup.display())),
    );
    if programs.is_empty() {
        problems.push(format!(
            "the cgroup {} cannot be looked at",
            cgroup.display()
        ));
    }
    if status["state"] == "refused" {
        problems.push("what is written is refused; `steer check` says why".to_owned());
    }
    let capacity = maps.capacity();
    let fill = |used: usize, rows: u32| format!("{used} of {rows}");
    let told = Told {
        ok: problems.is_empty(),
        agent,
        generation: status["generation"].clone(),
        state: status["state"].clone(),
        programs: programs
            .iter()
            .map(|found| (found.name, program(found)))
            .collect(),
        maps: BTreeMap::from([
            ("SERVICES", fill(live.services.len(), capacity.keys)),
            ("ROUTES", fill(live.routes.len(), capacity.rows)),
            ("ENDPOINTS", fill(live.endpoints.len(), capacity.endpoints)),
            ("COUNTERS", fill(live.counters.len(), capacity.counters)),
            ("SOURCES", fill(live.sources.len(), capacity.sources)),
        ]),
        reasons: live
            .reasons
            .iter()
            .map(|(reason, count)| (reason.name(), *count))
            .collect(),
        findings: findings(&status),
        problems,
    };
    match args.output.output {
        Format::Json | Format::Yaml => output::document(&told, args.output.output)?,
        Format::Table | Format::Wide => output::write(&text(&told))?,
    }
    Ok(if told.ok { Exit::Done } else { Exit::No })
}

fn program(found: &Attached) -> String {
    match (found.program, found.effective) {
        (Some(number), true) => format!("in force (program {number})"),
        (Some(number), false) => format!("attached elsewhere (program {number})"),
        (None, _) => "not attached".to_owned(),
    }
}

/// How many findings of each severity.
fn findings(status: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for finding in status["findings"].as_array().into_iter().flatten() {
        *counts
            .entry(finding["severity"].as_str().unwrap_or_default().to_owned())
            .or_default() += 1;
    }
    counts
}

fn text(told: &Told) -> String {
    let mut text = format!(
        "agent         {}\ngeneration    {}\nconfiguration {}\n",
        told.agent,
        told.generation,
        told.state.as_str().unwrap_or("unknown")
    );
    let findings: Vec<String> = told
        .findings
        .iter()
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    let findings = if findings.is_empty() {
        "none".to_owned()
    } else {
        findings.join(", ")
    };
    text.push_str(&format!("findings      {findings}\n\nPROGRAMS\n"));
    for (name, state) in &told.programs {
        text.push_str(&format!("  {name:<20} {state}\n"));
    }
    text.push_str("MAPS (rows in use)\n");
    for (name, fill) in &told.maps {
        text.push_str(&format!("  {name:<20} {fill}\n"));
    }
    text.push_str("REASONS\n");
    for (name, count) in told.reasons.iter().filter(|(_, count)| **count > 0) {
        text.push_str(&format!("  {name:<20} {count}\n"));
    }
    for problem in &told.problems {
        text.push_str(&format!("PROBLEM {problem}\n"));
    }
    text
}
