//! Requests a second by wrk against nginx: direct, steered, and through Envoy, in turn.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::Result;
use steer_tests::{
    lab::{HostSpec, Lab},
    pod::Pod,
};

use crate::{
    paths::{self, Open, Way},
    report::{Report, quartiles, say},
    web::{self, Load},
};

const PORT: u16 = 8080;
pub(crate) const KEEP: &str = "keep-alive";
pub(crate) const CLOSE: &str = "one connection per request";
/// The first two are what the others are compared with.
const PATHS: [(&str, Way); 4] = [
    ("direct", Way::Direct),
    ("direct-again", Way::Direct),
    ("steer", Way::Steer(10_000)),
    ("envoy", Way::EnvoyHttp),
];

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let name = Lab::fresh_name("bench-throughput");
    let server = HostSpec::pod("server", [IpAddr::from([10, 10, 0, 31])]);
    let clients = (0..)
        .zip(PATHS)
        .map(|(index, (name, _))| HostSpec::pod(name, [paths::client_address(index)]));
    let lab = Lab::builder(&name).host(server).hosts(clients).build()?;
    web::serve(lab.pod("server")?, PORT)?;
    let server = SocketAddr::new(lab.pod("server")?.v4()?, PORT);
    let clients = PATHS
        .into_iter()
        .map(|(name, way)| Client::open(&lab, name, way, server))
        .collect::<Result<Vec<_>>>()?;
    let (rounds, secs) = if full { (100, 1) } else { (5, 1) };
    let kept = compare(&clients, KEEP, rounds, secs)?;
    let closed = compare(&clients, CLOSE, rounds, secs)?;
    report.at_least("throughput.keepalive_ratio", kept["steer"], 0.99);
    report.at_least("throughput.close_ratio", closed["steer"], 0.99);
    for client in clients {
        if client.pod.name() == "envoy" {
            let name = "throughput.envoy_keepalive_ratio";
            match &client.ready {
                Ok(_) => report.figure(name, kept["envoy"]),
                Err(reason) => report.unavailable(name, reason),
            }
        }
        client.close()?;
    }
    Ok(())
}

/// A pod that makes requests, and its way to the server.
pub(crate) struct Client<'a> {
    pod: &'a Pod,
    /// Or why there is no such way here.
    ready: Result<(SocketAddr, Open), String>,
}

impl<'a> Client<'a> {
    /// Opens the way of the pod `name`.
    pub(crate) fn open(lab: &'a Lab, name: &str, way: Way, server: SocketAddr) -> Result<Self> {
        let pod = lab.pod(name)?;
        let ready = match way.open(lab, pod, server) {
            Err(error) if way != Way::EnvoyHttp => return Err(error),
            other => other.map_err(|error| format!("{error:#}")),
        };
        Ok(Self { pod, ready })
    }

    /// Its pod.
    pub(crate) fn pod(&self) -> &'a Pod {
        self.pod
    }

    /// Ends what was started.
    pub(crate) fn close(self) -> Result<()> {
        self.ready.map_or(Ok(()), |(_, open)| open.close())
    }
}

/// Loads the paths in turn, of which the first two are direct. Says the medians of the ratios to
/// direct: the mean of both direct paths of the round. Many short rounds, because what disturbs
/// them comes and goes within seconds.
pub(crate) fn compare(
    clients: &[Client<'_>],
    kind: &str,
    rounds: usize,
    secs: u32,
) -> Result<BTreeMap<String, f64>> {
    let count = clients.len();
    let mut ratios: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        let mut rates = BTreeMap::new();
        for at in 0..count {
            let index = (round + zigzag(at, count)) % count;
            let Ok((target, _)) = clients[index].ready else {
                continue;
            };
            let close = kind == CLOSE;
            let load = Load {
                target,
                path: web::SMALL,
                connections: 32,
                secs,
                close,
                headers: &[],
            };
            rates.insert(index, load.run(clients[index].pod)?);
        }
        let direct = f64::midpoint(rates[&0], rates[&1]);
        for (index, rate) in &rates {
            // Each direct path is compared with the other: how far from 1 they are is the noise.
            let reference = match index {
                0 => rates[&1],
                1 => rates[&0],
                _ => direct,
            };
            ratios.entry(*index).or_default().push(rate / reference);
        }
    }
    say(&format!(
        "{kind}: requests a second as a ratio to direct, medians of {rounds} rounds of {secs} s in \
         turn (and quartiles)"
    ));
    let mut medians = BTreeMap::new();
    for (index, client) in clients.iter().enumerate() {
        let name = client.pod.name();
        let text = match (&client.ready, ratios.get(&index)) {
            (Err(reason), _) => format!("unavailable: {reason}"),
            (_, found) => {
                let [low, middle, high] = quartiles(found.map_or(&[], Vec::as_slice));
                medians.insert(name.to_owned(), middle);
                format!("{middle:.3} ({low:.3} .. {high:.3})")
            }
        };
        say(&format!("  {name:<14} {text}"));
    }
    Ok(medians)
}

/// 0, 1, n-1, 2, n-2 and so on: begun at each path in turn, every path comes equally often behind
/// every other (a Williams design; the number is even), because a load leaves something for the next.
pub(crate) fn zigzag(at: usize, count: usize) -> usize {
    if at % 2 == 1 {
        at.div_ceil(2)
    } else {
        (count - at / 2) % count
    }
}
