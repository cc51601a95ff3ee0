//! The race: a name is resolved and its address dialled at once, again and again. Whatever learns
//! names later than the pod sees them refuses some.

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use steer::kernel::{Maps, Pins};
use steer_tests::{harness::full, lab::Lab};

use crate::{
    ground::{ATTACKER, Ground, RACED, play},
    guard::forget,
    registry, tally,
};

/// Tries of each client, in the short run and in the long one.
const TRIES: [usize; 2] = [40, 1000];

/// While the agent runs.
pub(crate) fn alive() -> Result<()> {
    let mut ground = Ground::raise("race")?;
    let _agent = registry::start(&ground.lab)?;
    run(&mut ground)
}

/// After it was killed.
pub(crate) fn orphaned() -> Result<()> {
    let mut ground = Ground::raise("race-orphaned")?;
    registry::start(&ground.lab)?.kill()?;
    run(&mut ground)
}

fn run(ground: &mut Ground) -> Result<()> {
    let tries = TRIES[usize::from(full())];
    let mut refused = Vec::new();
    forget(&ground.lab)?;
    let said = play(
        &mut ground.attacker,
        "race.unresolved",
        0,
        false,
        &Value::Null,
    )?;
    let unknown = said.iter().all(|said| said.answered == Some(false));
    ensure!(unknown, "it is reached without being asked for: {said:?}");
    for _ in 0..tries {
        for client in ["race.libc", "race.python"] {
            forget(&ground.lab)?;
            let said = play(&mut ground.attacker, client, 0, false, &Value::Null)?;
            let failed = said.into_iter().filter(|said| said.answered != Some(true));
            refused.extend(failed.map(|said| format!("{}: {}", said.label, said.words)));
        }
        forget(&ground.lab)?;
        let url = format!("http://{RACED}/");
        let arguments = ["-sS", "--fail", "--max-time", "3", "-o", "/dev/null", &url];
        if let Err(error) = ground.lab.pod(ATTACKER)?.run("curl", &arguments) {
            refused.push(format!("{error:#}"));
        }
    }
    tally::RACE_TRIES.add(3 * tries);
    tally::RACE_REFUSED.add(refused.len());
    let count = refused.len();
    refused.truncate(5);
    if count > 0 {
        let counted = counted(&ground.lab)?;
        bail!(
            "{count} refused: {} ...\ncounted: {counted}",
            refused.join("\n")
        );
    }
    Ok(())
}

/// What the programs counted, for who wants to know what became of a question.
fn counted(lab: &Lab) -> Result<String> {
    let live = Maps::open(&Pins::new(lab.dirs().pins()))?.read()?;
    let told = live.reasons.iter().filter(|(_, count)| **count > 0);
    let told: Vec<String> = told
        .map(|(reason, count)| format!("{} {count}", reason.name()))
        .collect();
    Ok(told.join(", "))
}
