//! What a connect takes, as a ratio to a direct one: batches on each path in turn.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use steer_tests::{
    lab::{HostSpec, Lab},
    server::identity::Server,
};

use crate::{
    dialler::Dialler,
    paths::{self, Open, Way},
    report::{Report, median, quartiles, say},
};

const PORT: u16 = 3000;
/// Connects of a batch.
const BATCH: usize = 100;

/// A path that is measured.
struct Path {
    name: &'static str,
    way: Way,
    /// The figure it gives.
    figure: Option<&'static str>,
}

const fn path(name: &'static str, way: Way, figure: Option<&'static str>) -> Path {
    Path { name, way, figure }
}

const LEGACY: &str = "iptables-legacy-restore";
const NFT: &str = "iptables-nft-restore";

/// The first is what the others are compared with.
const PATHS: [Path; 12] = [
    path("direct", Way::Direct, None),
    path("direct-again", Way::Direct, Some("direct_aa")),
    path("steer-10000", Way::Steer(10_000), Some("steer_10000")),
    path("iptables-10", Way::Iptables(LEGACY, 10), None),
    path("iptables-1000", Way::Iptables(LEGACY, 1_000), None),
    path(
        "iptables-10000",
        Way::Iptables(LEGACY, 10_000),
        Some("iptables_10000"),
    ),
    path("iptables-nft-1000", Way::Iptables(NFT, 1_000), None),
    path("iptables-nft-10000", Way::Iptables(NFT, 10_000), None),
    path("nft-10", Way::Nftables(10), None),
    path("nft-1000", Way::Nftables(1_000), None),
    path("nft-10000", Way::Nftables(10_000), Some("nft_10000")),
    path("envoy", Way::EnvoyTcp, Some("envoy")),
];

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let name = Lab::fresh_name("bench-latency");
    let server = HostSpec::pod("server", [IpAddr::from([10, 10, 0, 31])]);
    let clients = PATHS
        .iter()
        .enumerate()
        .map(|(index, path)| HostSpec::pod(path.name, [paths::client_address(index)]));
    let lab = Lab::builder(&name).host(server).hosts(clients).build()?;
    Server::on_port(PORT).start(lab.pod("server")?)?;
    let server = SocketAddr::new(lab.pod("server")?.v4()?, PORT);
    let mut runs = Vec::new();
    for path in &PATHS {
        runs.push(Run::prepare(&lab, path, server)?);
    }
    let rounds = if full { 300 } else { 30 };
    measure(&mut runs, rounds)?;
    say(&format!(
        "connect(), and connect() with the first byte, as ratios to direct: medians of {rounds} \
         rounds of {BATCH} on each path in turn (and quartiles)"
    ));
    let direct = runs[0].batches.clone();
    for run in runs {
        run.report(&direct, report);
        if let Ok(ready) = run.ready {
            ready.open.close()?;
        }
    }
    Ok(())
}

/// A path and what was measured on it.
struct Run {
    path: &'static Path,
    /// Or why it cannot be measured here.
    ready: Result<Ready, String>,
    /// The medians of each batch.
    batches: Vec<(f64, f64)>,
}

struct Ready {
    target: SocketAddr,
    dialler: Dialler,
    open: Open,
}

impl Run {
    fn prepare(lab: &Lab, path: &'static Path, server: SocketAddr) -> Result<Self> {
        let pod = lab.pod(path.name)?;
        let ready = match path.way.open(lab, pod, server) {
            Ok((target, open)) => Ok(Ready {
                target,
                open,
                dialler: Dialler::start(pod)?,
            }),
            // Of steer itself nothing may be missing.
            Err(error) if matches!(path.way, Way::Direct | Way::Steer(_)) => return Err(error),
            Err(error) => Err(format!("{error:#}")),
        };
        Ok(Self {
            path,
            ready,
            batches: Vec::new(),
        })
    }

    fn report(&self, direct: &[(f64, f64)], report: &mut Report) {
        let figure = self
            .path
            .figure
            .map(|name| format!("connect.latency_ratio.{name}"));
        if let Err(reason) = &self.ready {
            say(&format!("  {:<18} unavailable: {reason}", self.path.name));
            if let Some(figure) = figure {
                report.unavailable(&figure, reason);
            }
            return;
        }
        let pairs = || self.batches.iter().zip(direct);
        let connect: Vec<f64> = pairs().map(|(own, direct)| own.0 / direct.0).collect();
        let first: Vec<f64> = pairs().map(|(own, direct)| own.1 / direct.1).collect();
        let [low, _, high] = quartiles(&connect);
        let [first_low, _, first_high] = quartiles(&first);
        let (connect, first) = (median(&connect), median(&first));
        say(&format!(
            "  {:<18} {connect:.3} ({low:.3} .. {high:.3})   {first:.3} ({first_low:.3} .. {first_high:.3})",
            self.path.name
        ));
        let Some(figure) = figure else { return };
        match self.path.way {
            Way::Steer(_) => report.at_most(&figure, connect, 1.03),
            // A connect to Envoy ends at the proxy: only with the first byte it is the whole path.
            Way::EnvoyTcp => report.figure(&figure, first),
            _ => report.figure(&figure, connect),
        }
    }
}

/// Batches on each path in turn; each round begins with another one.
fn measure(runs: &mut [Run], rounds: usize) -> Result<()> {
    let count = runs.len();
    // A round before those that count warms up.
    for round in 0..=rounds {
        for at in 0..count {
            let run = &mut runs[(round + at) % count];
            let Ok(ready) = &mut run.ready else { continue };
            let medians = ready.dialler.tcp(ready.target, BATCH)?;
            if round > 0 {
                run.batches.push(medians);
            }
        }
    }
    Ok(())
}
