//! What a run of the connect program costs, net of an empty program on the same hook.

use std::{
    collections::BTreeMap,
    fs::File,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    ops::Range,
    os::fd::AsFd as _,
};

use anyhow::{Result, ensure};
use steer::{
    control::Engine,
    desired::model::PodRef,
    image::{Image, Source},
    kernel::{Pins, Programs, Runs, netns},
};
use steer_common::{Proto, limits::SERVICES_MAX};
use steer_tests::{
    lab::{HostSpec, Lab},
    pod::Pod,
};

use crate::{
    bpf::{Counting, Empty},
    dialler::Dialler,
    images,
    picks::gcd,
    report::{Report, median, say},
};

/// Connects between two looks at the counts.
const BATCH: u32 = 100_000;
/// A class that some rows are about.
const CLASS: u32 = 7;
/// Services that have a row for the class: half of what fits.
const CLASSED: u32 = SERVICES_MAX / 8;

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let hosts = [("idle", 31), ("client", 32)]
        .map(|(name, last)| HostSpec::pod(name, [Ipv4Addr::new(10, 10, 0, last).into()]));
    let lab = Lab::builder(&Lab::fresh_name("bench-connect"))
        .hosts(hosts)
        .build()?;
    let (idle, client) = (lab.pod("idle")?, lab.pod("client")?);
    // As large as the agent's maps are, however many services there are.
    let mut engine = images::engine(&lab, client.cgroup().path(), SERVICES_MAX)?;
    let mut scales = Scales {
        rounds: if full { 25 } else { 5 },
        empty: Empty::attach(&File::open(idle.cgroup().path())?)?,
        programs: Programs::open(&Pins::new(lab.dirs().pins()))?,
        idle: Dialler::start(idle)?,
        client: Dialler::start(client)?,
        _counting: Counting::start()?,
    };
    say(&format!(
        "ns a run of steer_connect4, net of an empty program: the lowest mean (and the median) of \
         {} batches of {BATCH} connects of a UDP socket",
        scales.rounds
    ));
    let mut rows = Vec::new();
    for count in [10, 1_000, 10_000, SERVICES_MAX] {
        engine.apply(&many(count))?;
        let net = scales.weigh(&format!("{count} services"), &(0..count))?;
        rows.push((count, net));
    }
    let beyond = SERVICES_MAX * 2..SERVICES_MAX * 2 + 1_000;
    scales.weigh("not an address of a service", &beyond)?;
    // Maps that are full of routes have no room for as many others.
    drop(engine);
    let pins = Pins::new(lab.dirs().pins());
    pins.remove()?;
    let mut engine = images::engine(&lab, client.cgroup().path(), SERVICES_MAX)?;
    scales.programs = Programs::open(&pins)?;
    let classed = classed(&mut engine, client, &mut scales)?;
    for (count, net) in rows {
        if let 10 | SERVICES_MAX = count {
            report.at_most(&format!("connect.program_ns_net.hot_{count}"), net, 60.0);
        }
    }
    report.at_most("connect.program_ns_net.classed_100000", classed, 120.0);
    Ok(())
}

/// Rows that vary by class: those of the client's class, and those of everybody else. Says what the
/// former cost.
fn classed(engine: &mut Engine, client: &Pod, scales: &mut Scales) -> Result<f64> {
    let cookie = client.in_network(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(netns::cookie(socket.as_fd())?)
    })?;
    engine.apply(&by_class(cookie))?;
    let own = scales.weigh(
        &format!("{SERVICES_MAX} services, row of the client's class"),
        &(0..CLASSED),
    )?;
    scales.weigh(
        &format!("{SERVICES_MAX} services, varies, not for this client"),
        &(CLASSED..SERVICES_MAX),
    )?;
    Ok(own)
}

/// Both programs, each with a client that runs it, and counts of what they cost.
struct Scales {
    rounds: u32,
    empty: Empty,
    programs: Programs,
    idle: Dialler,
    client: Dialler,
    _counting: Counting,
}

impl Scales {
    /// Prints what a connect to one of `services` costs, and to each of them in turn. Says the
    /// former.
    fn weigh(&mut self, what: &str, services: &Range<u32>) -> Result<f64> {
        let (mut empty, mut hot, mut spread) = (Vec::new(), Vec::new(), Vec::new());
        let count = u32::try_from(services.len())?;
        // A round before those that count fills the caches.
        for round in 0..=self.rounds {
            let found = [
                self.idle(services)?,
                self.steered(services, 0)?,
                self.steered(services, step(count))?,
            ];
            if round > 0 {
                empty.push(found[0]);
                hot.push(found[1]);
                spread.push(found[2]);
            }
        }
        let net = |of: &dyn Fn(&[f64]) -> f64, values: &[f64]| of(values) - of(&empty);
        say(&format!(
            "  {what:<46} hot {:>6.1} ({:.1}), spread over all {:>6.1} ({:.1}); empty {:.1}",
            net(&lowest, &hot),
            net(&median, &hot),
            net(&lowest, &spread),
            net(&median, &spread),
            lowest(&empty)
        ));
        Ok(net(&lowest, &hot))
    }

    fn idle(&mut self, services: &Range<u32>) -> Result<f64> {
        let before = self.empty.runs()?;
        self.idle.udp(BATCH, services, 0)?;
        mean(before, self.empty.runs()?)
    }

    fn steered(&mut self, services: &Range<u32>, step: u32) -> Result<f64> {
        let before = self.programs.runs("steer_connect4")?;
        self.client.udp(BATCH, services, step)?;
        mean(before, self.programs.runs("steer_connect4")?)
    }
}

/// The mean run of a batch, in ns.
fn mean(before: Runs, after: Runs) -> Result<f64> {
    let count = after.count - before.count;
    ensure!(
        count == u64::from(BATCH),
        "the program ran {count} times at {BATCH} connects"
    );
    let time = after.time.saturating_sub(before.time);
    Ok(time.as_secs_f64() * 1e9 / f64::from(BATCH))
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A stride that comes by every one of `count` services, far from the one before.
fn step(count: u32) -> u32 {
    let alone = |step: &u32| gcd(u64::from(*step), u64::from(count)) == 1;
    (count * 5 / 8..count).find(alone).unwrap_or(1)
}

/// Where nobody is: UDP sockets are connected, not used.
fn nowhere(number: u32, last: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x6440_0000 + number * 4 + last), 80))
}

/// `count` services, 90/10 over two endpoints.
fn many(count: u32) -> Image {
    let route = |number| {
        let to = [
            (90, vec![nowhere(number, 0)]),
            (10, vec![nowhere(number, 1)]),
        ];
        (
            images::key(number, 0, Proto::Udp),
            images::route(number, &to),
        )
    };
    Image {
        routes: (0..count).map(route).collect(),
        ..Image::default()
    }
}

/// All services that fit, each with a row that is not the same for every client; some have one for
/// the class of the network namespace `cookie`.
fn by_class(cookie: u64) -> Image {
    let mut image = many(SERVICES_MAX);
    for route in image.routes.values_mut() {
        let mut varies = (**route).clone();
        varies.varies = true;
        *route = varies.into();
    }
    for number in 0..CLASSED {
        let to = [
            (50, vec![nowhere(number, 2)]),
            (50, vec![nowhere(number, 3)]),
        ];
        let key = images::key(number, CLASS, Proto::Udp);
        image.routes.insert(key, images::route(number, &to));
    }
    let pod = PodRef {
        namespace: "bench".to_owned(),
        name: "client".to_owned(),
    };
    image.sources = BTreeMap::from([(cookie, Source::new(CLASS, pod))]);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_comes_by_every_service() {
        for count in [10, 1_000, 12_500, 87_500, 100_000] {
            let mut seen = vec![false; count as usize];
            let mut at = 0;
            for _ in 0..count {
                seen[at as usize] = true;
                at = (at + step(count)) % count;
            }
            assert!(seen.iter().all(|one| *one), "{count}");
        }
    }
}
