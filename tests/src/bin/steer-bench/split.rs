//! How exact the split is, over real TCP connections; beside it a random pick, and Envoy.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use anyhow::{Result, ensure};
use steer::image::Image;
use steer_common::Proto;
use steer_tests::{
    client::{Attempt, Storm},
    lab::{HostSpec, Lab},
    pod::Pod,
    server::identity::Server,
};

use crate::{
    envoy,
    figures::{Figures, say},
    images,
};

/// The splits that are measured.
const CASES: [&[u32]; 5] = [
    &[90, 10],
    &[99, 1],
    &[33, 33, 34],
    &[3333, 6667],
    &[1, 0, 3],
];
const SERVERS: [&str; 3] = ["v1", "v2", "v3"];
const PORT: u16 = 3000;

/// A lab with three servers and four clients.
fn lab() -> Result<Lab> {
    let name = Lab::fresh_name("bench-split");
    let mut builder = Lab::builder(&name);
    for (last, name) in (31..).zip(SERVERS) {
        builder = builder.host(HostSpec::pod(
            name,
            [SocketAddr::from(([10, 10, 0, last], 0)).ip()],
        ));
    }
    for number in 0..4_u8 {
        // Several addresses each: a port and an address that were just used are not used again.
        let addresses =
            (0..8).map(|last| SocketAddr::from(([10, 10, 1 + number, 10 + last], 0)).ip());
        builder = builder.host(HostSpec::pod(&format!("client-{number}"), addresses));
    }
    let lab = builder.build()?;
    for name in SERVERS {
        Server::on_port(PORT).start(lab.pod(name)?)?;
    }
    Ok(lab)
}

pub(crate) fn run(full: bool, figures: &mut Figures) -> Result<()> {
    let lab = lab()?;
    let count: u64 = if full { 100_000 } else { 10_000 };
    let mut engine = images::engine(&lab, lab.dirs().cluster_cgroup().path(), 64)?;
    let endpoints: Vec<SocketAddr> = SERVERS
        .iter()
        .map(|name| Ok(SocketAddr::new(lab.pod(name)?.v4()?, PORT)))
        .collect::<Result<_>>()?;
    let mut worst = 0.0_f64;
    let mut window = 0.0;
    say(&format!(
        "split over {count} TCP connections: exact share, count, worst distance"
    ));
    for (number, weights) in (0..).zip(CASES) {
        let destinations: Vec<_> = weights
            .iter()
            .zip(&endpoints)
            .map(|(weight, endpoint)| (*weight, vec![*endpoint]))
            .collect();
        let route = images::route(number, false, &destinations);
        let image = Image {
            routes: BTreeMap::from([(images::key(number, 0, Proto::Tcp), route)]),
            ..Image::default()
        };
        engine.apply(&image)?;
        for clients in [1_u64, 2, 4] {
            let started = Instant::now();
            let attempts = storm(
                &lab,
                SocketAddr::new(images::address(number).into(), 80),
                clients,
                count,
            )?;
            let error = total_error(&attempts, weights)?;
            worst = worst.max(error);
            let text = counts(&attempts, weights.len());
            let random = random_error(weights, count);
            let rate = count as f64 / started.elapsed().as_secs_f64();
            say(&format!(
                "  {weights:?} {clients} clients: {text:?}, error {error}; random pick: error {random:.0} ({rate:.0} connections/s)"
            ));
            if number == 0 && clients == 1 {
                window = window_error(&attempts, 10.0);
                say(&format!(
                    "    worst window of 100: {window}; random pick: {}",
                    random_window(count)
                ));
            }
        }
    }
    worst = worst.max(interleaved(&lab, &mut engine, &endpoints, count)?);
    figures.at_most("split.total_error", worst, 0.0);
    figures.at_most("split.window_error", window, 0.0);
    drop(engine);
    let envoy = by_envoy(&lab, &endpoints, if full { 20_000 } else { 2_000 })?;
    figures.add("split.envoy_window_error", envoy);
    Ok(())
}

/// Two splits that one client dials in turn: each stays exact.
fn interleaved(
    lab: &Lab,
    engine: &mut steer::control::Engine,
    endpoints: &[SocketAddr],
    count: u64,
) -> Result<f64> {
    let route = |number, weights: [u32; 2]| {
        let destinations: Vec<_> = weights
            .iter()
            .zip(endpoints)
            .map(|(weight, one)| (*weight, vec![*one]))
            .collect();
        (
            images::key(number, 0, Proto::Tcp),
            images::route(number, false, &destinations),
        )
    };
    let image = Image {
        routes: BTreeMap::from([route(20, [90, 10]), route(21, [1, 3])]),
        ..Image::default()
    };
    engine.apply(&image)?;
    let target = |number| SocketAddr::new(images::address(number).into(), 80);
    let client = lab.pod("client-0")?;
    let storm = Storm {
        targets: vec![target(20), target(21)],
        sources: sources(client),
        ..Storm::new(target(20), count)
    };
    let attempts = storm.run(client)?;
    let (first, second): (Vec<Attempt>, Vec<Attempt>) = attempts
        .into_iter()
        .partition(|attempt| attempt.target == target(20));
    let errors = [
        total_error(&first, &[90, 10])?,
        total_error(&second, &[1, 3])?,
    ];
    say(&format!(
        "  two splits in turn, one client: errors {errors:?}, worst window of 100 of the first {}",
        window_error(&first, 10.0)
    ));
    Ok(errors[0].max(errors[1]))
}

/// `count` connections from `clients` pods at once.
fn storm(lab: &Lab, target: SocketAddr, clients: u64, count: u64) -> Result<Vec<Attempt>> {
    let mut running = Vec::new();
    for number in 0..clients {
        let client = lab.pod(&format!("client-{number}"))?;
        let storm = Storm {
            sources: sources(client),
            ..Storm::new(target, count / clients)
        };
        running.push(storm.start(client)?);
    }
    let mut attempts = Vec::new();
    for one in running {
        attempts.extend(one.finish()?);
    }
    Ok(attempts)
}

fn sources(client: &Pod) -> Vec<std::net::IpAddr> {
    client
        .record()
        .addresses
        .iter()
        .copied()
        .filter(std::net::IpAddr::is_ipv4)
        .collect()
}

fn counts(attempts: &[Attempt], destinations: usize) -> Vec<u64> {
    SERVERS
        .iter()
        .take(destinations)
        .map(|name| {
            attempts
                .iter()
                .filter(|attempt| attempt.identity() == Some(name))
                .count() as u64
        })
        .collect()
}

/// The largest distance of a destination's count from its exact share.
fn total_error(attempts: &[Attempt], weights: &[u32]) -> Result<f64> {
    let failed = attempts.iter().find(|attempt| attempt.error.is_some());
    ensure!(failed.is_none(), "a connection failed: {failed:?}");
    let counts = counts(attempts, weights.len());
    ensure!(
        counts.iter().sum::<u64>() == attempts.len() as u64,
        "somebody else answered"
    );
    Ok(error(&counts, weights))
}

fn error(counts: &[u64], weights: &[u32]) -> f64 {
    let total: u32 = weights.iter().sum();
    let count: u64 = counts.iter().sum();
    let distance = |(&found, &weight): (&u64, &u32)| {
        (found as f64 - count as f64 * f64::from(weight) / f64::from(total)).abs()
    };
    counts.iter().zip(weights).map(distance).fold(0.0, f64::max)
}

/// The largest distance of the second server's count from `wanted` in any window of 100.
fn window_error(attempts: &[Attempt], wanted: f64) -> f64 {
    let picks: Vec<bool> = attempts
        .iter()
        .map(|attempt| attempt.identity() == Some(SERVERS[1]))
        .collect();
    worst_window(&picks, wanted)
}

fn worst_window(picks: &[bool], wanted: f64) -> f64 {
    picks
        .windows(100)
        .map(|window| (window.iter().filter(|pick| **pick).count() as f64 - wanted).abs())
        .fold(0.0, f64::max)
}

/// What a random pick of each connection makes of the same work (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        u32::try_from((high * u64::from(end)) >> 32).unwrap_or_default()
    }
}

fn random_error(weights: &[u32], count: u64) -> f64 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let total: u32 = weights.iter().sum();
    let mut counts = vec![0; weights.len()];
    for _ in 0..count {
        let mut left = random.below(total);
        for (count, weight) in counts.iter_mut().zip(weights) {
            if left < *weight {
                *count += 1;
                break;
            }
            left -= weight;
        }
    }
    error(&counts, weights)
}

fn random_window(count: u64) -> f64 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let picks: Vec<bool> = (0..count).map(|_| random.below(100) < 10).collect();
    worst_window(&picks, 10.0)
}

/// The same 90/10 by Envoy's weighted clusters.
fn by_envoy(lab: &Lab, endpoints: &[SocketAddr], count: u64) -> Result<f64> {
    let client = lab.pod("client-0")?;
    let envoy = envoy::Envoy::start(
        client,
        &envoy::tcp(10_000, &[(90, endpoints[0]), (10, endpoints[1])]),
    )?;
    let storm = Storm {
        sources: Vec::new(),
        ..Storm::new(SocketAddr::from(([127, 0, 0, 1], 10_000)), count)
    };
    let attempts = storm.run(client)?;
    let window = window_error(&attempts, 10.0);
    let found = counts(&attempts, 2);
    say(&format!(
        "  Envoy 90/10 over {count} connections: {found:?}, error {}, worst window of 100: {window}",
        error(&found, &[90, 10])
    ));
    envoy.stop()?;
    Ok(window)
}
