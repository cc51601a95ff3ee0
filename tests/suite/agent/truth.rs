//! Somebody else detaches programs and changes maps: the agent puts it right within seconds, and says
//! so.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use steer::{
    image::canary,
    kernel::{Kernel, KernelSettings, Maps, Pins, Undo},
    plan::{Capacity, Step},
};
use steer_tests::{harness::test, lab::Lab};

use crate::stage::{
    REGISTRY_ONLY, ROUTE, Stage, catalog, ensure_ninety_ten, eventually, rows, split, status,
    wait_long_for,
};

/// How long a repair may take. An agent rests between two looks at the maps in proportion to how long
/// one takes, so that a slow machine is not kept busy with it.
const REPAIR_MAX: Duration = Duration::from_mins(1);

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("truth::a_detached_program_is_attached_again", detached),
        test("truth::a_detached_guard_is_attached_again", unguarded),
        test("truth::a_changed_row_is_put_right", changed),
        test("truth::the_canary_says_whether_the_kernel_steers", tried),
        test("truth::an_agent_that_is_stuck_is_told", stuck),
        test("truth::who_else_decides_connections_is_told", beside),
    ]
}

/// The newest directory of pins.
fn pins(lab: &Lab) -> Result<std::path::PathBuf> {
    let mut versions = fs::read_dir(lab.dirs().pins())?;
    Ok(versions.next().context("a directory of pins")??.path())
}

/// `steer status`: its exit code and what it says.
fn told(lab: &Lab) -> Result<(Option<i32>, String)> {
    let output = lab.steer("status")?.output()?;
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    ))
}

/// Waits until the agent says that it put `what` right.
fn repaired(lab: &Lab, what: &str) -> Result<()> {
    wait_long_for(lab, REPAIR_MAX, |status| {
        status["repaired"].to_string().contains(what)
    })?;
    Ok(())
}

fn detached() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("detached")?;
    let link = pins(&lab)?.join("links/steer_connect4");
    let started = Instant::now();
    // Nobody else holds the link: with its last pin it goes.
    fs::remove_file(&link)?;
    repaired(&lab, "steer_connect4")?;
    ensure!(
        link.exists(),
        "not pinned again after {:?}",
        started.elapsed()
    );
    ensure_ninety_ten(&lab)?;
    let (code, text) = told(&lab)?;
    ensure!(
        code == Some(0) && text.contains("repaired"),
        "{code:?}: {text}"
    );
    // Without an agent it stays so, and is told.
    agent.kill()?;
    fs::remove_file(&link)?;
    eventually("the program to be missed", || {
        let (code, text) = told(&lab)?;
        let missed = text.contains("steer_connect4 is not attached");
        Ok((code == Some(1) && missed).then_some(()))
    })?;
    let _agent = lab.agent()?;
    ensure_ninety_ten(&lab)
}

fn unguarded() -> Result<()> {
    let stage = Stage::raise("unguarded")?;
    let lab = &stage.lab;
    lab.configure("registry-only.yaml", REGISTRY_ONLY)?;
    let ports = pins(lab)?.join("ports");
    let links = || -> Result<Vec<_>> {
        let found = fs::read_dir(&ports)?;
        found.map(|entry| Ok(entry?.path())).collect()
    };
    let pods = eventually("guards", || {
        let found = links()?;
        Ok((found.len() > 3).then_some(found))
    })?;
    let link = pods.first().context("a link")?;
    fs::remove_file(link)?;
    repaired(lab, "the guard of interface")?;
    ensure!(link.exists(), "not pinned again");
    let (code, text) = told(lab)?;
    ensure!(code == Some(0), "{text}");
    Ok(())
}

fn changed() -> Result<()> {
    let stage = Stage::raise("changed")?;
    let lab = &stage.lab;
    let before = rows(lab)?;
    let mut maps = Maps::open(&Pins::new(lab.dirs().pins()))?;
    let live = maps.read()?;
    let is_catalog =
        |key: &steer_common::ServiceKey| key.class == 0 && key.addr == catalog().ip().into();
    let (&key, &row) = live
        .services
        .iter()
        .find(|(key, _)| is_catalog(key))
        .context("the catalog")?;
    // Other weights in a row that is in force: no split is exact any more.
    let mut route = live.routes[&row];
    route.destinations[0].weight = 1;
    route.destinations[1].weight = 9;
    let route = Box::new(route);
    maps.apply(&[Step::Route { row, route }], &mut Undo::default())?;
    repaired(lab, "ROUTES")?;
    stage.await_weights(&[90, 10])?;
    ensure_ninety_ten(lab)?;
    // A service is taken out of the table.
    let live = maps.read()?;
    let row = live.services[&key];
    maps.apply(&[Step::Unpublish { key, row }], &mut Undo::default())?;
    repaired(lab, "SERVICES")?;
    ensure_ninety_ten(lab)?;
    ensure!(rows(lab)?.sources == before.sources);
    // Nothing is found where nobody changed anything.
    let count = |status: &serde_json::Value| status["repaired"].as_array().map(Vec::len);
    let repairs = count(&status(lab)?);
    lab.configure(ROUTE, &split([70, 30]))?;
    stage.await_weights(&[70, 30])?;
    std::thread::sleep(Duration::from_secs(5));
    ensure!(count(&status(lab)?) == repairs, "{}", status(lab)?);
    Ok(())
}

/// It is dialled through the real hook: a program that does nothing is found, though it is attached.
fn tried() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("canary")?;
    let (code, text) = told(&lab)?;
    ensure!(
        code == Some(0) && text.contains("canary         steered"),
        "{text}"
    );
    agent.kill()?;
    ensure!(told(&lab)?.1.contains("canary         steered"));
    // Every program is there, but what it reads is wrong.
    let mut maps = Maps::open(&Pins::new(lab.dirs().pins()))?;
    let live = maps.read()?;
    let row = live.services[&canary::key()];
    let mut route = live.routes[&row];
    route.destinations[0].count = 0;
    let route = Box::new(route);
    maps.apply(&[Step::Route { row, route }], &mut Undo::default())?;
    let (code, text) = told(&lab)?;
    ensure!(
        code == Some(1) && text.contains("the canary: a connection to"),
        "{text}"
    );
    ensure!(text.contains("programs in force"), "{text}");
    // No cgroup that was made for it stays.
    let mut cgroups = fs::read_dir(lab.dirs().cgroup().path())?;
    ensure!(
        !cgroups.any(|entry| entry.is_ok_and(|entry| entry
            .file_name()
            .to_string_lossy()
            .starts_with("steer-canary"))),
        "a cgroup is left"
    );
    // The agent puts it right.
    let _agent = lab.agent()?;
    ensure!(told(&lab)?.0 == Some(0), "{}", told(&lab)?.1);
    Ok(())
}

/// Programs of somebody else's at the same hooks: here, those of another steer.
fn beside() -> Result<()> {
    let stage = Stage::raise("beside")?;
    let lab = &stage.lab;
    let other = Kernel::start(&KernelSettings {
        pins: Pins::new(lab.dirs().bpf().join("other")),
        cgroup: lab.dirs().cluster_cgroup().path().to_owned(),
        capacity: Capacity::for_services(10),
    })?;
    let told = |status: &serde_json::Value| {
        let findings = status["findings"].as_array().into_iter().flatten();
        let mut messages = findings
            .filter(|finding| finding["code"] == "STR0606")
            .filter_map(|finding| finding["message"].as_str());
        messages.any(|message| message.contains("steer_connect4 (program "))
    };
    wait_long_for(lab, REPAIR_MAX, told)?;
    drop(other);
    fs::remove_dir_all(lab.dirs().bpf().join("other"))?;
    wait_long_for(lab, REPAIR_MAX, |status| !told(status))?;
    ensure_ninety_ten(lab)
}

fn stuck() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("stuck")?;
    let pid = Pid::from_raw(i32::try_from(agent.pid())?);
    kill(pid, Signal::SIGSTOP)?;
    eventually("the silence to be told", || {
        let (code, text) = told(&lab)?;
        let silent = text.contains("the agent has not said for");
        Ok((code == Some(1) && silent).then_some(()))
    })?;
    // So does the answer to a liveness probe.
    let alive = || -> Result<Option<i32>> {
        Ok(lab.steer("status")?.arg("--alive").output()?.status.code())
    };
    ensure!(alive()? == Some(1), "it is said to live");
    ensure_ninety_ten(&lab)?;
    kill(pid, Signal::SIGCONT)?;
    eventually("the agent to be back", || {
        Ok((told(&lab)?.0 == Some(0)).then_some(()))
    })?;
    ensure!(alive()? == Some(0), "it is not said to live");
    Ok(())
}
