//! The rounds, and what came of them.

use std::{
    io::{Write as _, stdout},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use steer_tests::{
    agent::{Agent, Death},
    figure::{Figure, Goal},
    lab::Lab,
};

use crate::{
    clients::{Clients, Counts},
    field,
    pulse::Pulse,
    traces::{Held, Traces},
};

/// How long the node is without an agent, and then with one.
const ALONE: Duration = Duration::from_millis(300);
const TOGETHER: Duration = Duration::from_millis(500);

/// What was done.
#[derive(Clone, Copy, Default, Debug)]
struct Done {
    kills: u64,
    kills_in_apply: u64,
    upgrades: u64,
    downgrades: u64,
}

/// Does all rounds; `second` is the build that is upgraded to.
pub(crate) fn soak(rounds: u64, second: Option<&Path>) -> Result<Vec<Figure>> {
    let lab = field::raise()?;
    let before = Traces::of(&lab)?;
    let mut held = Held::default();
    let mut agent = start(&lab, None)?;
    field::settle(&lab)?;
    held.look(&lab)?;
    let pulses = [field::ECHO, field::STEADY]
        .map(|target| lab.pod("client").and_then(|pod| Pulse::start(pod, target)));
    let clients = Clients::start(&lab)?;
    let mut done = Done::default();
    for round in 1..=rounds {
        agent.kill()?;
        done.kills += 1;
        thread::sleep(ALONE);
        field::look_up(&lab).context("a name while no agent runs")?;
        let build = second.filter(|_| round % 2 == 1);
        if second.is_some() {
            done.upgrades += u64::from(build.is_some());
            done.downgrades += u64::from(build.is_none());
        }
        if round % 3 == 0 {
            field::extra(&lab, round + 52)?;
            done.kills_in_apply += u64::from(die_in_apply(&lab, build, 1 + round % 8)?);
        }
        field::extra(&lab, round + 1)?;
        agent = start(&lab, build)?;
        thread::sleep(TOGETHER);
        held.look(&lab)?;
        tell(round, &done)?;
    }
    let (counts, strange) = clients.finish()?;
    let mut breaks = 0;
    for pulse in pulses {
        let told = pulse?.finish()?;
        writeln!(
            stdout(),
            "long connection: {} beats, the longest took {} ms{}",
            told.beats,
            told.longest_ms,
            told.broke
                .as_deref()
                .map_or_else(String::new, |why| format!(", broke {why}"))
        )?;
        breaks += u64::from(told.broke.is_some() || told.beats == 0);
    }
    for attempt in strange.iter().take(10) {
        writeln!(stdout(), "{attempt:?}")?;
    }
    agent.stop()?;
    let left = unload(&lab, &before, &held)?;
    Ok(figures(rounds, &done, counts, breaks, left))
}

fn figures(rounds: u64, done: &Done, counts: Counts, breaks: u64, left: u64) -> Vec<Figure> {
    let none = |name: &str, count| Figure::count(name, count).goal(Goal::AtMost(0.0));
    vec![
        Figure::count("soak.rounds", rounds),
        Figure::count("soak.kills", done.kills),
        Figure::count("soak.kills_in_apply", done.kills_in_apply),
        Figure::count("soak.upgrades", done.upgrades),
        Figure::count("soak.downgrades", done.downgrades),
        Figure::count("soak.connects", counts.connects).goal(Goal::AtLeast(1.0)),
        none("soak.failed", counts.failed),
        none("soak.astray", counts.astray),
        none("soak.split_error", counts.split_error),
        none("soak.long_connection_breaks", breaks),
        none("unload.left", left),
    ]
}

fn tell(round: u64, done: &Done) -> Result<()> {
    writeln!(
        stdout(),
        "round {round}: {} kills, {} of them in an apply, {} upgrades, {} downgrades",
        done.kills + done.kills_in_apply,
        done.kills_in_apply,
        done.upgrades,
        done.downgrades
    )?;
    Ok(())
}

fn command(lab: &Lab, build: Option<&Path>) -> Result<Command> {
    match build {
        Some(build) => lab.agent_command_of(build),
        None => lab.agent_command(),
    }
}

fn start(lab: &Lab, build: Option<&Path>) -> Result<Agent> {
    Agent::start(lab.node()?, command(lab, build)?)
}

/// An agent that dies at a write of what has changed; false if there were fewer.
fn die_in_apply(lab: &Lab, build: Option<&Path>, write: u64) -> Result<bool> {
    let mut command = command(lab, build)?;
    command.env("STEER_FAULT", format!("kill:{write}"));
    match Agent::start_that_may_die(lab.node()?, command)? {
        Death::Killed => Ok(true),
        Death::Ready(agent) => {
            agent.kill()?;
            Ok(false)
        }
        Death::Ended(status, log) => bail!("an agent ended by itself, {status}: {log}"),
    }
}

/// Unloads, and counts what is left.
fn unload(lab: &Lab, before: &Traces, held: &Held) -> Result<u64> {
    ensure!(held.count() > 0, "nothing was ever in the kernel");
    let output = lab.steer("unload")?.output()?;
    stdout().write_all(&output.stdout)?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let more = Traces::of(lab)?.more_than(before);
    for path in &more {
        writeln!(stdout(), "left: {path}")?;
    }
    let kernel = held.left();
    writeln!(
        stdout(),
        "of {} programs, links and maps {} are left",
        held.count(),
        kernel.count()
    )?;
    if kernel.count() > 0 {
        writeln!(stdout(), "left: {kernel:?}")?;
    }
    Ok((more.len() + kernel.count()) as u64)
}
