//! What comes to an end: names by their time, permissions by the policy, and who keeps the policy.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;
use steer::kernel::{Maps, Pins};
use steer_common::{
    Port,
    egress::{HostKey, LearnedKey},
};

use crate::{
    case::{By, Case, Moment, Verdict},
    ground::{ATTACKER, Ground, play},
    guard::Guard,
    list::CASES,
    registry,
    remains::{remains, remains_unseen},
    rows::{GOOD_HOST, HELD},
    stage::judged,
};

/// Longer than the least time of a name in the ground's policy, and than that of its answers.
const ENDED: Duration = Duration::from_millis(4200);
/// A number that no case has.
const NUMBER: usize = 250;

/// A name's time ends for new connections, and for those alone.
pub(crate) fn name_ends() -> Result<()> {
    let mut ground = Ground::raise("ends")?;
    let _guard = Guard::start(&ground.lab)?;
    expect(&mut ground, "lasting.learn", true)?;
    thread::sleep(ENDED);
    expect(&mut ground, "lasting.kept", true)?;
    expect(&mut ground, "lasting.again", false)
}

/// What the policy no longer allows is cut off, also where it flows already.
pub(crate) fn taken_away() -> Result<()> {
    let mut ground = Ground::raise("taken")?;
    let Some(mut guard) = Guard::start(&ground.lab)? else {
        return Ok(());
    };
    expect(&mut ground, "lasting.known", true)?;
    let whole = guard.rows();
    let mut less = whole.clone();
    less.hosts
        .remove(&HostKey::new(HELD, GOOD_HOST, Port::new(7000), 6));
    guard.put(less)?;
    expect(&mut ground, "lasting.kept", false)?;
    expect(&mut ground, "lasting.again_known", false)?;
    guard.put(whole)?;
    expect(&mut ground, "lasting.again_known", true)
}

/// Every attack once more, by a process whose cgroup no program is attached to: what is left is the
/// guard at the veth.
pub(crate) fn veth_alone() -> Result<()> {
    let mut ground = Ground::raise("alone")?;
    let elsewhere = ground.lab.dirs().outside_cgroup();
    ground.attacker.move_to(&elsewhere)?;
    play(&mut ground.attacker, "flows.serve", 0, true, &Value::Null)?;
    let _guard = Guard::start(&ground.lab)?;
    // Who called is known at the cgroup, so nobody can be called back here.
    attack(&mut ground, |case| case.by != By::Called, remains)
}

/// Every attack once more, after the agent was killed.
pub(crate) fn orphaned() -> Result<()> {
    let mut ground = Ground::raise("orphaned")?;
    play(&mut ground.attacker, "flows.serve", 0, true, &Value::Null)?;
    registry::start(&ground.lab)?.kill()?;
    attack(&mut ground, |_| true, remains)
}

/// An agent whose maps have another layout: what answers taught, and what flows, goes with it.
pub(crate) fn another_layout() -> Result<()> {
    let mut ground = Ground::raise("layout")?;
    registry::start(&ground.lab)?.kill()?;
    expect(&mut ground, "lasting.learn", true)?;
    let pins = ground.lab.dirs().pins();
    let learned = || -> Result<BTreeSet<LearnedKey>> {
        let maps = Maps::open(&Pins::new(&pins))?;
        Ok(maps.egress.learned().into_keys().collect())
    };
    let before = learned()?;
    ensure!(!before.is_empty(), "nothing was learned");
    let version = |number: u32| pins.join(format!("v{number}"));
    fs::rename(
        version(steer_common::ABI_VERSION),
        version(steer_common::ABI_VERSION - 1),
    )?;
    expect(&mut ground, "lasting.kept", true)?;
    let _agent = registry::start(&ground.lab)?;
    ensure!(!version(steer_common::ABI_VERSION - 1).exists(), "it stays");
    ensure!(learned()?.is_superset(&before), "{before:?}");
    expect(&mut ground, "lasting.kept", true)
}

/// Every attack once more, on a node where no agent has run since the pod came: it has the default
/// policy, which no program at its veth helps to hold.
pub(crate) fn unseen() -> Result<()> {
    let mut ground = Ground::raise("unseen")?;
    play(&mut ground.attacker, "flows.serve", 0, true, &Value::Null)?;
    drop(Guard::start_without(&ground.lab, ATTACKER)?);
    attack(
        &mut ground,
        |case| !NEEDS_VETH.contains(&case.play),
        remains_unseen,
    )
}

/// Attacks without a socket, or in which another pod takes part by a source address that is not its.
const NEEDS_VETH: [&str; 3] = ["raw.frames", "raw.tagged", "raw.source"];

/// Plays every attack that can be played where nothing was played before.
fn attack(
    ground: &mut Ground,
    fits: impl Fn(&Case) -> bool,
    remains: fn(&str, usize) -> bool,
) -> Result<()> {
    let mut complaints = Vec::new();
    let chosen = |case: &Case| needs_no_past(case) && fits(case);
    for (number, case) in (1..).zip(CASES).filter(|(_, case)| chosen(case)) {
        let outcomes = match case.run(ground, number, Moment::Held) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                complaints.push(format!("{}: {error:#}", case.name));
                continue;
            }
        };
        let told = judged(case, &outcomes, remains).into_iter();
        complaints.extend(told.map(|told| format!("{}: {told}", case.name)));
    }
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

/// Whether a case can be played where nothing was played before.
fn needs_no_past(case: &Case) -> bool {
    case.verdict == Verdict::Refused && !case.has_past()
}

fn expect(ground: &mut Ground, what: &str, through: bool) -> Result<()> {
    let said = play(&mut ground.attacker, what, NUMBER, false, &Value::Null)?;
    for said in said {
        let was = said.answered == Some(true);
        ensure!(
            was == through,
            "{what}: {}: {was}, {}",
            said.label,
            said.words
        );
    }
    Ok(())
}
