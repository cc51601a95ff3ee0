//! The kernel refuses a write: the last good generation stays in force, with a finding, and the
//! agent tries again.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer::control::read_status;
use steer_tests::{agent::Death, harness::test, lab::Lab};

use crate::world::{Config, look, mixed, raise};

/// Writes at which the kernel refuses.
const WRITES: [usize; 4] = [2, 20, 40, 30];
/// How soon the agent must have tried again: it does every five seconds.
const AGAIN_MAX: Duration = Duration::from_secs(12);

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("refused::the_last_good_generation_stays_in_force", once),
        test("refused::for_good_and_told", broken),
    ]
}

/// A write is refused once: all is as before, then the agent tries again and all is as wanted.
fn once() -> Result<()> {
    let lab = raise("refused")?;
    Config::First.write(&lab)?;
    lab.agent()?.kill()?;
    let [mut from, mut to] = [Config::First, Config::Second];
    for write in WRITES {
        to.write(&lab)?;
        let fault = format!("refuse:{write}");
        let Death::Ready(agent) = lab.agent_that_may_die(&[("STEER_FAULT", &fault)])? else {
            bail!("the agent died of a refusal");
        };
        let complaints = mixed(&look(&lab)?, [from, from]);
        let told = status(&lab)?;
        ensure!(has_code(&told, "STR0702"), "{write}: {told}");
        ensure!(complaints.is_empty(), "{write}: {}", complaints.join("\n"));
        wait(&lab, |status| status["state"] == "applied")?;
        let complaints = mixed(&look(&lab)?, [to, to]);
        ensure!(complaints.is_empty(), "{write}: {}", complaints.join("\n"));
        agent.kill()?;
        (from, to) = (to, from);
    }
    Ok(())
}

/// The kernel refuses everything from some write on, the way back among it: each service is whole, and
/// it is told.
fn broken() -> Result<()> {
    let lab = raise("broken")?;
    Config::First.write(&lab)?;
    lab.agent()?.kill()?;
    Config::Second.write(&lab)?;
    let Death::Ready(agent) = lab.agent_that_may_die(&[("STEER_FAULT", "broken:40")])? else {
        bail!("the agent died of a refusal");
    };
    wait(&lab, |status| {
        has_code(status, "STR0704") || has_code(status, "STR0702")
    })?;
    let complaints = mixed(&look(&lab)?, [Config::First, Config::Second]);
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    agent.kill()?;
    lab.agent()?.kill()?;
    let complaints = mixed(&look(&lab)?, [Config::Second, Config::Second]);
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

pub(crate) fn status(lab: &Lab) -> Result<Value> {
    read_status(&lab.dirs().state())?.context("the agent has written no status")
}

pub(crate) fn has_code(status: &Value, code: &str) -> bool {
    let findings = status["findings"].as_array().into_iter().flatten();
    findings.into_iter().any(|finding| finding["code"] == code)
}

pub(crate) fn wait(lab: &Lab, fits: impl Fn(&Value) -> bool) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < AGAIN_MAX {
        if fits(&status(lab)?) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("after {AGAIN_MAX:?} the status is {}", status(lab)?)
}
