//! The watching over an agent, with a stand-in for `steer`: what it does is other suites' to test.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    agent::{Agent, READY},
    harness::test,
    lab::Lab,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("agent::it_is_waited_for_until_ready", waited_for),
        test("agent::one_that_fails_is_an_error_with_its_words", failing),
        test("agent::stopped_killed_and_left", endings),
        test("agent::its_configuration_is_written_whole", configuration),
    ]
}

fn stand_in(lab: &Lab, script: &str) -> Result<Command> {
    let mut command = lab.node()?.command("sh")?;
    command.arg("-c").arg(script);
    Ok(command)
}

fn waited_for() -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("wait")).build()?;
    let flag = lab.dirs().run().join("flag");
    let script = format!(
        "sleep 0.2; : > {}; echo the {READY} >&2; exec sleep 60",
        flag.display()
    );
    let agent = Agent::start(lab.node()?, stand_in(&lab, &script)?)?;
    ensure!(flag.exists(), "it was not waited for");
    // The next agent writes to the same log: the old line must not count.
    agent.kill()?;
    fs::remove_file(&flag)?;
    let agent = Agent::start(lab.node()?, stand_in(&lab, &script)?)?;
    ensure!(
        flag.exists(),
        "the old agent's line was taken for the new one's"
    );
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", agent.pid()))?;
    ensure!(
        cgroup.contains(&format!("/steer-lab-{}/cluster/node", lab.name())),
        "{cgroup}"
    );
    Ok(())
}

fn failing() -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("fail")).build()?;
    let started = Agent::start(lab.node()?, stand_in(&lab, "echo no such luck; exit 3")?);
    let error = started.err().context("it failed")?.to_string();
    ensure!(
        error.contains("no such luck") && error.contains("exit status: 3"),
        "{error}"
    );
    Ok(())
}

fn endings() -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("end")).build()?;
    let polite = format!("trap 'exit 7' TERM; echo {READY}; while :; do sleep 0.01; done");
    ensure!(Agent::start(lab.node()?, stand_in(&lab, &polite)?)?.stop()? == 7);
    let agent = Agent::start(lab.node()?, stand_in(&lab, &polite)?)?;
    let (pid, lives) = (agent.pid(), |pid: u32| {
        Path::new("/proc").join(pid.to_string()).exists()
    });
    ensure!(lives(pid));
    agent.kill()?;
    ensure!(!lives(pid));
    let left = Agent::start(lab.node()?, stand_in(&lab, &polite)?)?;
    let pid = left.pid();
    left.leave();
    ensure!(lives(pid), "it was to be left running");
    Ok(())
}

fn configuration() -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("config")).build()?;
    lab.configure("a.yaml", "kind: Old")?;
    lab.configure("a.yaml", "kind: New")?;
    let names: Vec<_> = fs::read_dir(lab.dirs().config())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(names == ["a.yaml"], "{names:?}");
    ensure!(fs::read_to_string(lab.dirs().config().join("a.yaml"))? == "kind: New");
    lab.unconfigure("a.yaml")?;
    ensure!(fs::read_dir(lab.dirs().config())?.next().is_none());
    ensure!(lab.unconfigure("a.yaml").is_err());
    Ok(())
}
