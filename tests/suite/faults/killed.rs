//! The agent is killed at each write of an apply in turn.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use libtest_mimic::Trial;
use steer::kernel::{Maps, Pins};
use steer_tests::{
    agent::Death,
    figure::{Figure, Goal},
    harness::{full, test},
    lab::Lab,
};

use crate::world::{Config, look, mixed, raise};

/// Points at full counts.
const POINTS_MIN: usize = 200;
/// Without full counts, every so many writes.
const STRIDE: usize = 29;
/// Between which configurations.
const PAIRS: [[Config; 2]; 2] = [
    [Config::First, Config::Second],
    [Config::Second, Config::Open],
];

pub(crate) fn tests() -> Vec<Trial> {
    vec![test(
        "killed::at_every_write_traffic_is_as_before_or_as_wanted",
        killed,
    )]
}

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    points: usize,
    mixed: usize,
}

static COUNTS: Mutex<Option<Counts>> = Mutex::new(None);

/// The figures of the run; none if it was not run.
pub(crate) fn figures() -> Vec<Figure> {
    let counts = *COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(counts) = counts else {
        return Vec::new();
    };
    let points = Figure::count("faults.points", counts.points as u64);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let points = if full() {
        points.goal(Goal::AtLeast(POINTS_MIN as f64))
    } else {
        points
    };
    vec![
        points,
        Figure::count("faults.mixed", counts.mixed as u64).goal(Goal::AtMost(0.0)),
    ]
}

fn killed() -> Result<()> {
    let lab = raise("killed")?;
    Config::First.write(&lab)?;
    lab.agent()?.kill()?;
    ensure_is(&lab, Config::First)?;
    let mut counts = Counts::default();
    let mut complaints = Vec::new();
    for ends in PAIRS {
        finish(&lab, ends[0])?;
        let before = counts.points;
        for write in (1..).step_by(if full() { 1 } else { STRIDE }) {
            // There and back: what finishes one way begins the other.
            let there = point(&lab, ends, write, &mut complaints)?;
            let back = point(&lab, [ends[1], ends[0]], write, &mut complaints)?;
            counts.points += usize::from(there) + usize::from(back);
            if !there && !back {
                break;
            }
        }
        ensure!(counts.points > before, "no write between {ends:?}");
    }
    counts.mixed = complaints.len();
    *COUNTS.lock().unwrap_or_else(PoisonError::into_inner) = Some(counts);
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

/// Starts an agent that dies at a write; false if it had fewer to do.
fn kill_at(lab: &Lab, write: usize) -> Result<bool> {
    let fault = format!("kill:{write}");
    match lab.agent_that_may_die(&[("STEER_FAULT", &fault)])? {
        Death::Killed => Ok(true),
        Death::Ready(agent) => {
            agent.kill()?;
            Ok(false)
        }
        Death::Ended(status, log) => bail!("the agent ended by itself, {status}: {log}"),
    }
}

/// Kills an agent at a write of the way between two ends, judges what is seen then, and lets another
/// finish; false if there are fewer writes.
fn point(lab: &Lab, ends: [Config; 2], write: usize, complaints: &mut Vec<String>) -> Result<bool> {
    ends[1].write(lab)?;
    let killed = kill_at(lab, write)?;
    if killed {
        let found = mixed(&look(lab)?, ends).into_iter();
        complaints.extend(found.map(|what| format!("killed at write {write}: {what}")));
    }
    finish(lab, ends[1])?;
    Ok(killed)
}

/// An agent that is not disturbed finishes.
fn finish(lab: &Lab, to: Config) -> Result<()> {
    to.write(lab)?;
    lab.agent()?.kill()?;
    ensure_is(lab, to)?;
    let live = Maps::open(&Pins::new(lab.dirs().pins()))?.read()?;
    ensure!(
        live.applying == 0,
        "generation {} is still being applied",
        live.applying
    );
    Ok(())
}

fn ensure_is(lab: &Lab, config: Config) -> Result<()> {
    let complaints = mixed(&look(lab)?, [config, config]);
    ensure!(
        complaints.is_empty(),
        "after an agent that was not disturbed: {}",
        complaints.join("\n")
    );
    Ok(())
}
