//! One attack: how it is played, before the policy and under it, and what came of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::ground::{Ground, Said, Seen, play};

/// How long packets may take to the witness.
const ARRIVAL_MAX: Duration = Duration::from_secs(1);
/// How long is waited for packets that must not arrive.
const SILENCE: Duration = Duration::from_millis(60);

/// How it is known that an attempt got through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    /// A packet arrived outside, for an address of this attempt alone.
    Arrives,
    /// The other side answered.
    Answers,
}

/// Who plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    /// The pod that the policy holds.
    Attacker,
    /// A host outside.
    Caller,
    /// The attacker, after a call from outside to each of two addresses.
    Called,
    /// The attacker, with a server outside that announces another address.
    Announced,
    /// Another pod, with sockets that the attacker made.
    Heir,
    /// The attacker, with answers that another pod forges.
    Forger,
    /// The attacker, with answers that a host outside forges.
    OutsideForger,
}

/// What is expected under the policy. Before it everything gets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nothing gets through.
    Refused,
    /// Everything still gets through.
    Passes,
}

/// When an attempt is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// Without a policy, and whatever is to be there before it is made ready.
    Before,
    /// Without a policy, with what was made ready.
    Free,
    /// Under the policy.
    Held,
}

/// A case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) play: &'static str,
    pub(crate) by: By,
    pub(crate) proof: Proof,
    pub(crate) verdict: Verdict,
}

/// One variant of an attempt, as it went.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) label: String,
    pub(crate) through: bool,
    /// For people: the error, and what arrived.
    pub(crate) said: String,
}

impl Case {
    /// Whether it uses what is opened before the policy.
    pub(crate) fn has_past(&self) -> bool {
        ["sockets.early", "flows.opened", "flows.inbound"].contains(&self.play)
    }

    /// Plays it once.
    pub(crate) fn run(
        &self,
        ground: &mut Ground,
        number: usize,
        moment: Moment,
    ) -> Result<Vec<Outcome>> {
        let said = self.attempt(ground, number, moment == Moment::Before)?;
        if self.proof == Proof::Answers {
            return Ok(said.into_iter().map(answered).collect());
        }
        let started = Instant::now();
        let free = moment != Moment::Held;
        let limit = if free { ARRIVAL_MAX } else { SILENCE };
        loop {
            let seen = ground.seen()?;
            let outcomes: Vec<Outcome> = said
                .iter()
                .enumerate()
                .map(|(variant, said)| arrived(said, &seen, number, variant, free))
                .collect();
            let all = free && outcomes.iter().all(|outcome| outcome.through);
            if all || started.elapsed() > limit {
                return Ok(outcomes);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn attempt(&self, ground: &mut Ground, number: usize, before: bool) -> Result<Vec<Said>> {
        let path = ground.lab.dirs().run().join(format!("handed-{number}"));
        // The path of an earlier run of this case.
        let _ = std::fs::remove_file(&path);
        let path = json!({ "path": path });
        let none = Value::Null;
        if self.by == By::Called {
            for variant in 0..2 {
                let which = json!({ "variant": variant });
                let said = play(&mut ground.caller, "flows.call", number, before, &which)?;
                let called = said.iter().all(|said| said.answered == Some(true));
                anyhow::ensure!(called, "the call did not get through: {said:?}");
            }
            // The end of the calls is no attempt.
            thread::sleep(SILENCE);
        }
        ground.forget_seen()?;
        let (player, args) = match self.by {
            By::Caller => (&mut ground.caller, &none),
            By::Attacker | By::Called => (&mut ground.attacker, &none),
            By::Announced => {
                play(
                    &mut ground.caller,
                    "detours.announce",
                    number,
                    before,
                    &none,
                )?;
                (&mut ground.attacker, &none)
            }
            By::Heir => {
                play(&mut ground.attacker, "nested.offer", number, before, &path)?;
                (&mut ground.accomplice, &path)
            }
            By::Forger => {
                play(&mut ground.accomplice, "names.forge", number, before, &path)?;
                (&mut ground.attacker, &path)
            }
            By::OutsideForger => {
                play(&mut ground.caller, "names.forge", number, before, &path)?;
                (&mut ground.attacker, &path)
            }
        };
        play(player, self.play, number, before, args)
    }
}

fn answered(said: Said) -> Outcome {
    Outcome {
        through: said.answered == Some(true),
        label: said.label,
        said: said.words,
    }
}

/// Without a policy, an attempt must have done all that it was to do: packets arrived, and an answer
/// came if one was expected. Under it any packet is one too many.
fn arrived(said: &Said, seen: &Seen, number: usize, variant: usize, free: bool) -> Outcome {
    let of = |address: String| seen.get(&address).cloned().unwrap_or_default();
    let mut frames = of(format!("198.18.{number}.{}", variant + 1));
    frames.extend(of(format!("2001:db8:bad:{number:x}::{:x}", variant + 1)));
    let answer = said.answered;
    let through = if free {
        !frames.is_empty() && answer != Some(false)
    } else {
        !frames.is_empty() || answer == Some(true)
    };
    let mut words = said.words.clone();
    if !frames.is_empty() {
        words = format!("{words} [{} arrived: {}]", frames.len(), frames.join("; "));
    }
    Outcome {
        label: said.label.clone(),
        through,
        said: words,
    }
}
