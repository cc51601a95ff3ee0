//! What is not as it should be, in words. Pure.

use super::{Agent, Looked};
use crate::node::canary::Canary;

/// What is not as it should be.
pub(super) fn problems(looked: &Looked, agent: &Agent) -> Vec<String> {
    [
        of_the_agent(looked, agent),
        of_pins(looked),
        of_programs(looked, agent),
        of_pods(looked),
        of_the_canary(looked),
    ]
    .concat()
}

fn of_the_agent(looked: &Looked, agent: &Agent) -> Vec<String> {
    let mut problems = Vec::new();
    if !agent.running {
        problems.push(
            "no agent runs: what was applied last stays in force, changes do not come into force"
                .to_owned(),
        );
    }
    if let Some(silent) = looked.silent.filter(|_| agent.running) {
        problems.push(format!(
            "the agent has not said for {} s that it lives: it is stuck, or was only just started",
            silent.as_secs()
        ));
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
    problems
}

fn of_pins(looked: &Looked) -> Vec<String> {
    let unguarded = looked.unguarded.iter().map(|index| {
        format!(
            "interface {index}, of a pod, has no guard: nothing without a socket is refused there"
        )
    });
    let unpinned = looked.unpinned.iter();
    unguarded
        .chain(unpinned.map(|map| format!("the map {map} is not pinned")))
        .collect()
}

fn of_programs(looked: &Looked, agent: &Agent) -> Vec<String> {
    let cgroup = agent.cgroup.as_deref().unwrap_or("the cgroup");
    match &looked.programs {
        Ok(programs) => {
            let idle = programs.iter().filter(|found| !found.effective);
            let problems = idle.map(|found| match found.program {
                Some(_) => format!("{} is attached elsewhere, not to {cgroup}", found.name),
                None => format!("{} is not attached to {cgroup}", found.name),
            });
            problems.collect()
        }
        // Said already if it is for lack of the agent's files.
        Err(error) if looked.said.is_some() => {
            vec![format!("the programs cannot be looked at: {error}")]
        }
        Err(_) => Vec::new(),
    }
}

fn of_pods(looked: &Looked) -> Vec<String> {
    let idle = looked.idle.iter();
    idle.map(|(pod, programs)| {
        format!(
            "{} does not run for pod {pod}: its cgroup is not below the watched one any more",
            programs.join(", ")
        )
    })
    .collect()
}

fn of_the_canary(looked: &Looked) -> Vec<String> {
    match &looked.canary {
        Canary::Astray(why) => vec![format!("the canary: {why}")],
        Canary::Steered | Canary::Untried(_) => Vec::new(),
    }
}
