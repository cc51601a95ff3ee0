//! `steer rollback`: the rules of an earlier generation.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Exit,
    args::{Instance, Rollback as Args},
    output::{self, counted},
};
use crate::control::{
    Entry, Lock, Rollback, entry_of, read_history, read_rollback, read_status, set_rollback,
};

/// How long a running agent may take.
const APPLIED_MAX: Duration = Duration::from_secs(10);

/// Returns, or no longer, or lists what can be returned to.
pub(super) fn run(args: &Args, instance: &Instance) -> anyhow::Result<Exit> {
    let state = &instance.state;
    let entries = read_history(state).context("reading the rules of earlier generations")?;
    let wish = read_rollback(state).context("reading the wish to return")?;
    if args.list {
        output::write(&list(&entries, wish))?;
        return Ok(Exit::Done);
    }
    let wanted = if args.release {
        None
    } else {
        match wanted(&entries, args.generation, wish) {
            Ok(wanted) => Some(wanted),
            Err(why) => {
                output::remark(&format!("steer: {why}"));
                return Ok(Exit::No);
            }
        }
    };
    set_rollback(state, wanted).context("writing the wish to return")?;
    let told = if tell_agent(state)? {
        await_agent(state, wanted.map(|wish| wish.to))?
    } else {
        "no agent runs: it takes effect when one starts".to_owned()
    };
    let what = match wanted {
        Some(wish) => format!("rolled back to the rules of generation {}", wish.to),
        None => "released: what is written counts".to_owned(),
    };
    output::write(&format!("{what}; {told}\n"))?;
    Ok(Exit::Done)
}

/// To which rules: those of a generation, or those before the ones in force.
fn wanted(
    entries: &[Entry],
    generation: Option<u32>,
    wish: Option<Rollback>,
) -> Result<Rollback, String> {
    let from = entries.last().map(|entry| entry.generation);
    let from = from.ok_or("no rules of earlier generations are kept here")?;
    let now = wish.map_or(from, |wish| wish.to);
    let found = match generation {
        Some(generation) => entry_of(entries, generation),
        None => entry_of(entries, now.saturating_sub(1)),
    };
    let to =
        found.ok_or("the rules of that generation are not kept; see `steer rollback --list`")?;
    Ok(Rollback {
        to: to.generation,
        from,
    })
}

/// Wakes the agent, if one runs.
fn tell_agent(state: &Path) -> anyhow::Result<bool> {
    let Some(pid) = Lock::holder(state).context("looking for the agent")? else {
        return Ok(false);
    };
    let pid = Pid::from_raw(pid.parse().context("understanding the agent's pid")?);
    kill(pid, Signal::SIGHUP).context("waking the agent")?;
    Ok(true)
}

/// Waits until the agent says so.
fn await_agent(state: &Path, rolled_back: Option<u32>) -> anyhow::Result<String> {
    let started = Instant::now();
    while started.elapsed() < APPLIED_MAX {
        let status = read_status(state).context("reading the agent's status")?;
        let status = status.unwrap_or_default();
        let told = status["rolled_back"].as_u64();
        if told == rolled_back.map(u64::from) && status["state"] == "applied" {
            let generation = &status["generation"];
            return Ok(format!("in force as generation {generation}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok("the agent has not applied it yet: see `steer status`".to_owned())
}

fn list(entries: &[Entry], wish: Option<Rollback>) -> String {
    let newest = entries.last().map(|entry| entry.generation);
    let in_force = wish.map(|wish| wish.to).or(newest);
    let mut text = format!("{:<12} {:<32} {:<12} \n", "GENERATION", "SINCE", "RULES");
    for entry in entries {
        let mark = if Some(entry.generation) == in_force {
            "in force"
        } else {
            ""
        };
        let rules = counted(entry.rules.len(), "document");
        let line = format!(
            "{:<12} {:<32} {rules:<12} {mark}",
            entry.generation, entry.since
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(generations: &[u32]) -> Vec<Entry> {
        let entry = |&generation: &u32| Entry {
            generation,
            since: "2026-01-05T09:00:00Z".to_owned(),
            rules: Vec::new(),
        };
        generations.iter().map(entry).collect()
    }

    #[test]
    fn one_step_back_or_to_a_generation() {
        let kept = entries(&[3, 5, 9]);
        let to = |generation, wish| wanted(&kept, generation, wish).map(|wish| wish.to);
        assert_eq!(to(None, None), Ok(5));
        let wish = Some(Rollback { to: 5, from: 9 });
        assert_eq!(to(None, wish), Ok(3));
        assert_eq!(to(Some(8), wish), Ok(5));
        assert!(to(Some(2), None).is_err());
        assert!(to(None, Some(Rollback { to: 3, from: 9 })).is_err());
        assert!(wanted(&[], None, None).is_err());
        assert_eq!(wanted(&kept, Some(3), wish).map(|wish| wish.from), Ok(9));
    }

    #[test]
    fn the_list_marks_what_is_in_force() {
        let text = list(&entries(&[3, 5]), Some(Rollback { to: 3, from: 5 }));
        let marked: Vec<_> = text
            .lines()
            .filter(|line| line.contains("in force"))
            .collect();
        assert_eq!(marked.len(), 1);
        assert!(marked[0].starts_with("3 "), "{text}");
    }
}
