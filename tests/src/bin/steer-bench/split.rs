//! How exact the split is, over real TCP connections; beside it a random pick, and Envoy.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use steer::{control::Engine, image::Image};
use steer_common::Proto;
use steer_tests::{
    client::{Attempt, Storm},
    lab::{HostSpec, Lab},
    pod::Pod,
    server::identity::Server,
};

use crate::{
    envoy::{self, Envoy},
    images, picks,
    report::{Report, say},
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
const CLIENTS: [u8; 4] = [0, 1, 2, 3];
/// Addresses of each client: an address and port that were just used rest for a while.
const ADDRESSES: u8 = 8;

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let lab = raise()?;
    let stage = Stage {
        endpoints: SERVERS
            .iter()
            .map(|name| Ok(SocketAddr::new(lab.pod(name)?.v4()?, PORT)))
            .collect::<Result<_>>()?,
        count: if full { 100_000 } else { 10_000 },
        lab,
    };
    let by_envoy = stage.by_envoy(if full { 20_000 } else { 1_000 });
    stage.by_steer(report)?;
    match by_envoy {
        Ok(window) => report.figure("split.envoy_window_error", window),
        Err(error) => report.unavailable("split.envoy_window_error", &format!("{error:#}")),
    }
    Ok(())
}

/// A lab with three servers and four clients.
fn raise() -> Result<Lab> {
    let name = Lab::fresh_name("bench-split");
    let servers = (31..)
        .zip(SERVERS)
        .map(|(last, name)| HostSpec::pod(name, [IpAddr::from([10, 10, 0, last])]));
    let clients = CLIENTS.map(|number| {
        let addresses = (0..ADDRESSES).map(|last| IpAddr::from([10, 10, 1 + number, 10 + last]));
        HostSpec::pod(&format!("client-{number}"), addresses)
    });
    let lab = Lab::builder(&name).hosts(servers).hosts(clients).build()?;
    for name in SERVERS {
        Server::on_port(PORT).start(lab.pod(name)?)?;
    }
    Ok(lab)
}

struct Stage {
    lab: Lab,
    /// One of each server.
    endpoints: Vec<SocketAddr>,
    /// Connections of each case.
    count: u64,
}

/// A service that is split.
struct Split {
    number: u32,
    weights: &'static [u32],
}

impl Split {
    fn address(&self) -> SocketAddr {
        SocketAddr::new(images::address(self.number).into(), 80)
    }
}

impl Stage {
    fn by_steer(&self, report: &mut Report) -> Result<()> {
        let cgroup = self.lab.dirs().cluster_cgroup();
        let mut engine = images::engine(&self.lab, cgroup.path(), 64)?;
        say(&format!(
            "steer, {} connections a case; error: a count's largest distance from its exact share, \
             of all and in any window of {}",
            self.count,
            picks::WINDOW
        ));
        let mut worst = 0.0_f64;
        let mut first_window = None;
        for (number, weights) in (0..).zip(CASES) {
            let split = Split { number, weights };
            self.apply(&mut engine, &[&split])?;
            for clients in [1, 2, 4] {
                let started = Instant::now();
                let attempts = self.storm(split.address(), clients)?;
                let rate = rate(attempts.len(), started);
                let picked = of(&attempts)?;
                whole(&picked, weights)?;
                let error = picks::total_error(&picked, weights);
                let window = picks::window_error(&picked, weights);
                first_window.get_or_insert(window);
                worst = worst.max(error);
                line(&plural(clients), weights, &picked, &rate);
            }
            let random = picks::random(weights, usize::try_from(self.count)?);
            line("random pick", weights, &random, "");
        }
        worst = worst.max(self.interleaved(&mut engine)?);
        report.at_most("split.total_error", worst, 0.0);
        let window = first_window.context("the first case is 90/10 by one client")?;
        report.at_most("split.window_error", window, 0.0);
        Ok(())
    }

    fn apply(&self, engine: &mut Engine, splits: &[&Split]) -> Result<()> {
        let route = |split: &&Split| {
            let pairs = split.weights.iter().zip(&self.endpoints);
            let destinations: Vec<_> = pairs
                .map(|(weight, endpoint)| (*weight, vec![*endpoint]))
                .collect();
            let key = images::key(split.number, 0, Proto::Tcp);
            (key, images::route(split.number, &destinations))
        };
        let routes = splits.iter().map(route).collect();
        engine.apply(&Image {
            routes,
            ..Image::default()
        })?;
        Ok(())
    }

    /// One client dials two splits in turn: each stays exact. Says the largest error.
    fn interleaved(&self, engine: &mut Engine) -> Result<f64> {
        let splits =
            [(20, &[90, 10]), (21, &[25, 75])].map(|(number, weights)| Split { number, weights });
        self.apply(engine, &splits.each_ref())?;
        let targets: Vec<SocketAddr> = splits.iter().map(Split::address).collect();
        let client = self.client(0)?;
        let storm = Storm {
            sources: sources(client),
            targets: targets.clone(),
            ..Storm::new(targets[0], self.count * 2)
        };
        let attempts = storm.run(client)?;
        let mut worst = 0.0_f64;
        for split in &splits {
            let own: Vec<Attempt> = attempts
                .iter()
                .filter(|attempt| attempt.target == split.address())
                .cloned()
                .collect();
            let picked = of(&own)?;
            whole(&picked, split.weights)?;
            worst = worst.max(picks::total_error(&picked, split.weights));
            line("1 client, two splits in turn", split.weights, &picked, "");
        }
        Ok(worst)
    }

    /// Connections of several pods at once, in the order in which they began.
    fn storm(&self, target: SocketAddr, clients: u8) -> Result<Vec<Attempt>> {
        let mut running = Vec::new();
        for number in 0..clients {
            let client = self.client(number)?;
            let storm = Storm {
                sources: sources(client),
                ..Storm::new(target, self.count / u64::from(clients))
            };
            running.push(storm.start(client)?);
        }
        let mut attempts = Vec::new();
        for one in running {
            attempts.extend(one.finish()?);
        }
        attempts.sort_by_key(|attempt| attempt.start_ns);
        Ok(attempts)
    }

    /// The same splits by Envoy's weighted clusters, one client. Says the window error of 90/10.
    fn by_envoy(&self, count: u64) -> Result<f64> {
        let client = self.client(0)?;
        let listeners: Vec<envoy::Listener> = (10_000..)
            .zip(CASES)
            .map(|(port, weights)| {
                let pairs = weights.iter().copied().zip(self.endpoints.iter().copied());
                envoy::Listener::Tcp {
                    port,
                    to: pairs.collect(),
                }
            })
            .collect();
        let envoy = Envoy::start(client, &listeners)?;
        say(&format!(
            "{}, tcp_proxy with weighted clusters, {count} connections a case",
            envoy::version()?
        ));
        let mut first_window = None;
        for (port, weights) in (10_000..).zip(CASES) {
            let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let started = Instant::now();
            let attempts = Storm::new(target, count).run(client)?;
            let rate = rate(attempts.len(), started);
            let picked = of(&attempts)?;
            first_window.get_or_insert(picks::window_error(&picked, weights));
            line("1 client", weights, &picked, &rate);
        }
        envoy.stop()?;
        first_window.context("the first case is 90/10")
    }

    fn client(&self, number: u8) -> Result<&Pod> {
        self.lab.pod(&format!("client-{number}"))
    }
}

fn sources(client: &Pod) -> Vec<IpAddr> {
    let addresses = client.record().addresses.iter().copied();
    addresses.filter(IpAddr::is_ipv4).collect()
}

/// Which server each attempt got.
fn of(attempts: &[Attempt]) -> Result<Vec<usize>> {
    let server = |attempt: &Attempt| {
        let name = attempt.identity();
        let found = SERVERS.iter().position(|server| Some(*server) == name);
        found.with_context(|| format!("a connection failed: {attempt:?}"))
    };
    attempts.iter().map(server).collect()
}

/// Exact shares are of whole periods.
fn whole(picked: &[usize], weights: &[u32]) -> Result<()> {
    let period = picks::period(weights);
    let count = picked.len();
    ensure!(
        (count as u64).is_multiple_of(period),
        "{count} connections are no whole periods of {period}"
    );
    Ok(())
}

fn rate(count: usize, started: Instant) -> String {
    let rate = count as f64 / started.elapsed().as_secs_f64();
    format!(", {rate:.0} connections/s")
}

fn line(who: &str, weights: &[u32], picked: &[usize], more: &str) {
    let join = |numbers: Vec<String>| numbers.join("/");
    let weights_text = join(weights.iter().map(u32::to_string).collect());
    let counts = picks::counts(picked, weights);
    let counts_text = join(counts.iter().map(usize::to_string).collect());
    let total = picks::total_error(picked, weights);
    let window = picks::window_error(picked, weights);
    say(&format!(
        "  {weights_text:<10} {who:<29} {counts_text:<18} error {total:>6.1}, in a window {window:>5.2}{more}"
    ));
}

fn plural(clients: u8) -> String {
    if clients == 1 {
        "1 client".to_owned()
    } else {
        format!("{clients} clients at once")
    }
}
