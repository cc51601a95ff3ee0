//! What a mirror costs the traffic that is mirrored, and how much of it is copied: when the machine has nothing
//! left, and when it has.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use steer_tests::lab::{HostSpec, Lab};

use crate::{
    l7::{self, AGAIN, DIRECT, MIRROR, Way},
    report::{Report, quartiles, say},
    web::{self, Load},
};

/// Whom copies go to.
pub(crate) const COPIED: &str = "v1";
/// The clients, in the order of their addresses.
const CLIENTS: [(&str, u8); 3] = [(DIRECT, 1), (AGAIN, 2), (MIRROR, 4)];
/// How long a look at what is copied takes.
const SECS: u32 = 4;
/// How long clients at ease wait before each request.
const WAIT_MS: u32 = 2;
/// How many of them show how much one asks.
const TRIED: u32 = 64;
/// So often in a row nothing must have come, 50 ms each: the agent pauses for up to 128 ms while others want the
/// processors.
const QUIET: u32 = 5;
/// How long copies may be under way after the load.
const SETTLED_MAX: Duration = Duration::from_secs(20);

/// The part of `l7` that is about mirrors.
pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let pod = |name: &str, address: [u8; 4]| HostSpec::pod(name, [IpAddr::from(address)]);
    let clients = CLIENTS.map(|(name, last)| pod(name, [10, 10, 1, last]));
    let lab = Lab::builder(&Lab::fresh_name("bench-tap"))
        .hosts([pod(COPIED, [10, 10, 0, 31]), pod("v2", [10, 10, 0, 32])])
        .hosts(clients)
        .build()?;
    let (_, second) = l7::serve(&lab)?;
    let agent = lab.agent()?;
    let targets = l7::targets(second);
    await_copies(&lab, targets[MIRROR])?;
    let ways = CLIENTS.map(|(name, _)| Way {
        name,
        target: targets[name],
        worker: None,
    });
    let rounds = if full { 40 } else { 9 };
    for kind in l7::KINDS.iter().filter(|kind| full || !kind.full) {
        let compared = l7::compare(&lab, &ways, kind, rounds)?;
        tell(report, kind.name, &compared.ratios);
    }
    shares(&lab, &targets, report)?;
    agent.stop()?;
    Ok(())
}

/// The ratio of one kind of load.
pub(crate) fn tell(report: &mut Report, kind: &str, ratios: &BTreeMap<&str, Vec<f64>>) {
    let name = format!("l7.tap_ratio_to_direct.{kind}");
    match ratios.get(MIRROR) {
        Some(found) => report.at_least(&name, quartiles(found)[1], 0.97),
        None => report.unavailable(&name, "nobody is mirrored"),
    }
}

/// How much is copied.
pub(crate) fn shares(
    lab: &Lab,
    targets: &BTreeMap<&str, SocketAddr>,
    report: &mut Report,
) -> Result<()> {
    say(
        "copies that have come when the load ends, as a share of its requests; their server stands for another node's, and \
         runs only while nobody else here wants to (SCHED_IDLE)",
    );
    let load = |name: &str, connections: u32| Load {
        target: targets[name],
        path: web::SMALL,
        connections,
        secs: SECS,
        close: false,
        headers: &[],
    };
    let most = load(DIRECT, 32).run(lab.pod(DIRECT)?)?;
    let (rate, share) = share(lab, || load(MIRROR, 32).run(lab.pod(MIRROR)?))?;
    say(&format!(
        "  at full load, {:.2} of what direct clients have: {share:.3}",
        rate / most
    ));
    report.figure("l7.tap_copied_share.full", share);
    let tried = load(DIRECT, TRIED).run_at_ease(lab.pod(DIRECT)?, WAIT_MS)?;
    let half = connections(most / 2.0, tried / f64::from(TRIED));
    let (rate, share) = self::share(lab, || {
        load(MIRROR, half).run_at_ease(lab.pod(MIRROR)?, WAIT_MS)
    })?;
    say(&format!(
        "  with {half} clients at ease, {:.2} of that: {share:.3}",
        rate / most
    ));
    report.figure("l7.tap_copied_share.half", share);
    Ok(())
}

/// How many clients have this rate, if one has that.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small count"
)]
fn connections(rate: f64, each: f64) -> u32 {
    ((rate / each).round() as u32).max(1)
}

/// The rate of a load, and the share of it that has been copied at its end.
fn share(lab: &Lab, load: impl FnOnce() -> Result<f64>) -> Result<(f64, f64)> {
    settle(lab)?;
    let counted = || -> Result<(u64, u64)> {
        Ok((
            web::counted(lab.pod(COPIED)?, l7::PORT)?,
            web::counted(lab.pod("v2")?, l7::PORT)?,
        ))
    };
    let before = counted()?;
    let rate = load()?;
    let after = counted()?;
    // Less the look itself.
    let (copies, live) = (after.0 - before.0 - 1, after.1 - before.1 - 1);
    ensure!(live > 0, "nobody asked");
    Ok((rate, copies as f64 / live as f64))
}

/// Waits until no more copies come, so that they are nobody else's load.
pub(crate) fn settle(lab: &Lab) -> Result<()> {
    let pod = lab.pod(COPIED)?;
    let begun = Instant::now();
    let mut before = web::counted(pod, l7::PORT)?;
    let mut quiet = 0;
    while quiet < QUIET {
        thread::sleep(Duration::from_millis(50));
        let now = web::counted(pod, l7::PORT)?;
        quiet = if now == before + 1 { quiet + 1 } else { 0 };
        before = now;
        ensure!(begun.elapsed() < SETTLED_MAX, "copies come without end");
    }
    Ok(())
}

/// Until the mirror is seen to work.
fn await_copies(lab: &Lab, service: SocketAddr) -> Result<()> {
    let (client, copied) = (lab.pod(MIRROR)?, lab.pod(COPIED)?);
    let url = format!("http://{service}/");
    let begun = Instant::now();
    let mut before = web::counted(copied, l7::PORT)?;
    loop {
        client.run("curl", &["-sS", "--max-time", "2", "-o", "/dev/null", &url])?;
        thread::sleep(Duration::from_millis(50));
        let now = web::counted(copied, l7::PORT)?;
        if now > before + 1 {
            return Ok(());
        }
        before = now;
        ensure!(
            begun.elapsed() < Duration::from_secs(10),
            "nothing is copied"
        );
    }
}
