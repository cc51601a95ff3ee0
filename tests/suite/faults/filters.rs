//! Before Linux 6.6 the guard at a pod's veth is filters, which whoever administers the network can
//! remove: it is seen, told, and put right.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use steer::control::read_status;
use steer_tests::{
    agent::{Agent, Death},
    harness::test,
    lab::Lab,
    link, netns, wait,
};

use crate::world::{Config, look, mixed, raise};

/// How long something may take to be noticed: the agent looks every two seconds.
const NOTICE_MAX: Duration = Duration::from_secs(12);

pub(crate) fn tests() -> Vec<Trial> {
    vec![test(
        "filters::a_removed_filter_is_told_and_put_back",
        removed,
    )]
}

fn removed() -> Result<()> {
    let lab = raise("filters")?;
    Config::First.write(&lab)?;
    let agent = without_tcx(&lab)?;
    let index = eventually("a guard", || guarded(&lab))?;
    ensure!(!told(&lab, index)?, "it is missed while it is there");
    remove(&lab, index)?;
    eventually("the repair", || {
        let status = read_status(&lab.dirs().state())?.context("the agent has no status")?;
        let repair = format!("the guard of interface {index} was detached");
        Ok(status["repaired"]
            .to_string()
            .contains(&repair)
            .then_some(()))
    })?;
    ensure!(!told(&lab, index)?, "it is missed after the repair");
    // Without an agent it stays so, and is told.
    agent.kill()?;
    ensure!(!told(&lab, index)?, "it went with the agent");
    remove(&lab, index)?;
    ensure!(told(&lab, index)?, "nobody says that it is gone");
    // The next agent puts it back.
    let _agent = without_tcx(&lab)?;
    eventually("the guard", || Ok((!told(&lab, index)?).then_some(())))?;
    let complaints = mixed(&look(&lab)?, [Config::First, Config::First]);
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

/// An agent that sees no tcx.
fn without_tcx(lab: &Lab) -> Result<Agent> {
    match lab.agent_that_may_die(&[("STEER_FAULT", "no-tcx")])? {
        Death::Ready(agent) => Ok(agent),
        _ => bail!("the agent died without tcx"),
    }
}

/// An interface that has filters, by the agent's note.
fn guarded(lab: &Lab) -> Result<Option<u32>> {
    let mut versions = fs::read_dir(lab.dirs().pins())?;
    let pins = versions.next().context("a directory of pins")??.path();
    let Ok(mut notes) = fs::read_dir(pins.join("filters")) else {
        return Ok(None);
    };
    let name = |note: fs::DirEntry| note.file_name().to_string_lossy().into_owned();
    let first = notes.next().transpose()?.map(name);
    Ok(first.map(|name| name.parse()).transpose()?)
}

fn remove(lab: &Lab, index: u32) -> Result<()> {
    netns::netlink(lab.node()?.net(), |handle| async move {
        link::remove_filters(&handle, index).await
    })
}

/// Whether `steer status` says that an interface has no guard.
fn told(lab: &Lab, index: u32) -> Result<bool> {
    let output = lab.steer("status")?.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let missed = text.contains(&format!("interface {index}, of a pod, has no guard"));
    ensure!(!missed || output.status.code() == Some(1), "{text}");
    Ok(missed)
}

fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait::until(NOTICE_MAX, what, || {
        Ok(ask()?.ok_or_else(|| "there is no answer".to_owned()))
    })
}
