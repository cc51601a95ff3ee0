//! The guard at the veth, by sockets of a pod's network namespace that no cgroup hook sees.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial as Test;
use steer::plan::EgressRows;
use steer_common::{addr::PodAddrs, reason::Reason};
use steer_tests::{harness::test, link, netns};

use crate::{
    common::stage::{self, Stage},
    veth::{INTERFACE, rules},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("veth::what_has_no_cgroup_is_reset", real),
        test("veth::it_stays_without_an_engine_until_unloaded", unloaded),
    ]
}

/// A client whose veth is known, but not guarded yet.
fn known(purpose: &str) -> Result<(Stage, u32, EgressRows)> {
    let mut stage = Stage::raise(purpose, 1)?;
    let index = netns::inside(stage.lab.node()?.net(), || link::index("veth-client"))?;
    let mut rows = rules();
    let mut port = rows.ports.remove(&INTERFACE).context("a row")?;
    let client = stage.client()?;
    port.addrs = PodAddrs::new([client.v4()?.into(), client.v6()?.into()]);
    rows.ports.insert(index, port);
    stage.engine()?.kernel_mut().put_egress(&rows)?;
    reach(&stage, "a control")?;
    Ok((stage, index, rows))
}

/// Dials from a socket of the pod's network namespace that no cgroup hook sees; says what came of it
/// and how long it took.
fn dial(stage: &Stage, to: SocketAddr) -> Result<(Result<(), ErrorKind>, Duration)> {
    stage.client()?.in_network(|| {
        let begun = Instant::now();
        let came = TcpStream::connect_timeout(&to, Duration::from_secs(3));
        Ok((
            came.map_err(|error| error.kind()).map(drop),
            begun.elapsed(),
        ))
    })
}

fn reach(stage: &Stage, why: &str) -> Result<()> {
    for to in [stage::v4(1), stage::v6(1)] {
        let (came, _) = dial(stage, to)?;
        ensure!(came == Ok(()), "{why}: {to}: {came:?}");
    }
    Ok(())
}

fn refused(stage: &Stage) -> Result<()> {
    for to in [stage::v4(1), stage::v6(1)] {
        let (came, took) = dial(stage, to)?;
        ensure!(came == Err(ErrorKind::ConnectionRefused), "{to}: {came:?}");
        ensure!(took < Duration::from_millis(500), "{to}: {took:?}");
    }
    Ok(())
}

fn real() -> Result<()> {
    let (mut stage, index, mut rows) = known("veth-real")?;
    guard(&mut stage, index)?;
    // Once more is no error, and a new agent finds it.
    guard(&mut stage, index)?;
    stage.start()?;
    refused(&stage)?;
    ensure!(stage.live()?.reasons[&Reason::ResetSent] >= 2);
    let port = rows.ports.get_mut(&index).context("a row")?;
    port.policy = 0;
    stage.engine()?.kernel_mut().put_egress(&rows)?;
    reach(&stage, "an open policy")
}

/// How long a link may outlive its pin.
const GONE_MAX: Duration = Duration::from_secs(5);

/// The guard stays when the engine is gone, and goes when it is unloaded.
fn unloaded() -> Result<()> {
    let (mut stage, index, _) = known("veth-unload")?;
    guard(&mut stage, index)?;
    stage.end();
    refused(&stage)?;
    let pins = stage.settings().kernel.pins;
    netns::inside(stage.lab.node()?.net(), || Ok(pins.remove()?))?;
    // The kernel lets a link go a moment after its last pin.
    let begun = Instant::now();
    while begun.elapsed() < GONE_MAX && reach(&stage, "unloaded").is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    reach(&stage, "unloaded")
}

/// Attaches the program, as the agent does: in the namespace of the node.
fn guard(stage: &mut Stage, index: u32) -> Result<()> {
    let node = stage.lab.node()?.net().try_clone_to_owned()?;
    let engine = stage.engine()?;
    netns::inside(node.as_fd(), || {
        Ok(engine.kernel_mut().ports_mut().guard(index)?)
    })
}
