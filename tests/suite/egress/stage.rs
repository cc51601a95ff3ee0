//! The ground that most cases share: every attempt gets through on it, then the policy comes.

use std::{
    env,
    fs::OpenOptions,
    io::Write as _,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use steer_tests::{agent::Agent, harness::full};

use crate::{
    case::{Case, Moment, Outcome, Verdict},
    ground::{Ground, play},
    guard::Guard,
    list::CASES,
    registry,
    remains::remains,
    tally,
};

/// Who puts the policy in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// This process, by rows.
    Rows,
    /// The agent, by files.
    Agent,
}

static STAGES: [Mutex<Option<Stage>>; 2] = [Mutex::new(None), Mutex::new(None)];

struct Stage {
    // Before the ground: the pins go with the lab's file system.
    _guard: Option<Guard>,
    _agent: Option<Agent>,
    ground: Ground,
    /// How each case went before the policy.
    before: Vec<Result<Vec<Outcome>, String>>,
}

/// Tries one case under the policy, and judges it by how it went before.
pub(crate) fn try_case(way: Way, number: usize) -> Result<()> {
    let stage = &STAGES[usize::from(way == Way::Agent)];
    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    if stage.is_none() {
        *stage = Some(Stage::raise(way)?);
    }
    stage.as_mut().map_or_else(
        || bail!("there is no stage"),
        |stage| stage.try_case(number),
    )
}

/// Takes the stages down.
pub(crate) fn end() {
    for stage in &STAGES {
        *stage.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Stage {
    fn raise(way: Way) -> Result<Self> {
        let mut ground = Ground::raise("egress")?;
        play(&mut ground.attacker, "flows.serve", 0, true, &Value::Null)?;
        let before = (1..).zip(CASES).map(|(number, case)| {
            let outcome = case.run(&mut ground, number, Moment::Before);
            outcome.map_err(|error| format!("{error:#}"))
        });
        let before = before.collect();
        if full() {
            unrefused(&mut ground)?;
        }
        let (guard, agent) = match way {
            Way::Rows => (Guard::start(&ground.lab)?, None),
            Way::Agent => (None, Some(registry::start(&ground.lab)?)),
        };
        Ok(Self {
            _guard: guard,
            _agent: agent,
            ground,
            before,
        })
    }

    fn try_case(&mut self, number: usize) -> Result<()> {
        let case = &CASES[number - 1];
        let mut complaints = controls(&self.before[number - 1]);
        let outcomes = self.tried(case, number)?;
        complaints.extend(judged(case, &outcomes, remains));
        complaints.extend(mended(case, &outcomes));
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        Ok(())
    }

    /// Tries a case under the policy. What is known to remain possible need not come off every time: it is tried
    /// again, and what gets through once gets through.
    fn tried(&mut self, case: &Case, number: usize) -> Result<Vec<Outcome>> {
        let mut outcomes = case.run(&mut self.ground, number, Moment::Held)?;
        trace(case, &outcomes)?;
        for _ in 1..TRIES {
            if mended(case, &outcomes).is_empty() {
                break;
            }
            let again = case.run(&mut self.ground, number, Moment::Held)?;
            trace(case, &again)?;
            let lost = outcomes.iter_mut().zip(again);
            lost.filter(|(outcome, again)| !outcome.through && again.through)
                .for_each(|(outcome, again)| *outcome = again);
        }
        Ok(outcomes)
    }
}

/// How often an attempt is made that is known to get through.
const TRIES: u32 = 5;

/// Every attempt once more, still without a policy: what fails then would seem to be refused later.
/// What was opened for it is used by then, and opened anew.
fn unrefused(ground: &mut Ground) -> Result<()> {
    for (number, case) in (1..).zip(CASES) {
        for outcome in case.run(ground, number, Moment::Free)? {
            ensure!(outcome.through, "{} works once: {outcome:?}", case.name);
        }
        if case.has_past() {
            case.run(ground, number, Moment::Before)?;
        }
    }
    Ok(())
}

/// Names a file that gets a line for every variant under the policy: why it did not get through.
const TRACE: &str = "STEER_EGRESS_TRACE";

fn trace(case: &Case, outcomes: &[Outcome]) -> Result<()> {
    let Some(path) = env::var_os(TRACE) else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    for Outcome {
        label,
        through,
        said,
    } in outcomes
    {
        writeln!(file, "{}: {label}: {through} {said}", case.name)?;
    }
    Ok(())
}

/// What did not get through before the policy.
fn controls(before: &Result<Vec<Outcome>, String>) -> Vec<String> {
    let complaints: Vec<String> = match before {
        Err(error) => vec![format!("the control broke: {error}")],
        Ok(outcomes) => (0..)
            .zip(outcomes)
            .filter(|(_, outcome)| !outcome.through)
            .map(|(variant, outcome)| told("does not work without the policy", variant, outcome))
            .collect(),
    };
    tally::CONTROLS_FAILED.add(complaints.len());
    complaints
}

/// What went otherwise than it should under the policy, and is not known to remain possible.
pub(crate) fn judged(
    case: &Case,
    outcomes: &[Outcome],
    remains: fn(&str, usize) -> bool,
) -> Vec<String> {
    let refused = case.verdict == Verdict::Refused;
    if refused {
        tally::TRIED.add(outcomes.len());
    }
    let mut complaints = Vec::new();
    for (variant, outcome) in (0..).zip(outcomes) {
        let (words, count) = match (refused, outcome.through) {
            (true, true) if remains(case.name, variant) => {
                tally::REMAINING.add(1);
                continue;
            }
            (true, true) => ("ESCAPED", &tally::ESCAPED),
            (false, false) => ("was refused and is allowed", &tally::CONTROLS_FAILED),
            _ => continue,
        };
        count.add(1);
        complaints.push(told(words, variant, outcome));
    }
    complaints
}

/// What is known to remain possible, and no longer is.
fn mended(case: &Case, outcomes: &[Outcome]) -> Vec<String> {
    (0..)
        .zip(outcomes)
        .filter(|(variant, outcome)| !outcome.through && remains(case.name, *variant))
        .map(|(variant, outcome)| told("is held, and stands in remains.rs", variant, outcome))
        .collect()
}

fn told(what: &str, variant: usize, outcome: &Outcome) -> String {
    let Outcome { label, said, .. } = outcome;
    format!("{what}: variant {variant}, {label}: {said}")
}
