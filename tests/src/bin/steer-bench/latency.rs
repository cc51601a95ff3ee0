//! What a connect takes, as a ratio to a direct one: one client namespace for each path, batches
//! in turn.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context as _, Result};
use steer_common::Proto;
use steer_tests::{
    lab::{HostSpec, Lab},
    pod::Pod,
    server::identity::Server,
};

use crate::{
    envoy,
    figures::{Figures, median, say},
    images, rules,
};

const PORT: u16 = 3000;
/// The paths, each with a client of its own.
const PATHS: [&str; 9] = [
    "direct",
    "direct-again",
    "steer-10000",
    "iptables-10",
    "iptables-1000",
    "iptables-10000",
    "nft-10",
    "nft-10000",
    "envoy",
];

/// A client that dials on command.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    target: SocketAddr,
}

impl Worker {
    fn start(pod: &Pod, target: SocketAddr) -> Result<Self> {
        let mut command = pod.command(env::current_exe()?)?;
        let mut child = command
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("it has an input")?;
        let output = BufReader::new(child.stdout.take().context("it has an output")?);
        Ok(Self {
            child,
            input,
            output,
            target,
        })
    }

    /// The medians of a batch: connect, and connect with the first byte.
    fn batch(&mut self, count: usize) -> Result<(f64, f64)> {
        writeln!(self.input, "{} {count}", self.target)?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let (connect, first) = line.trim().split_once(' ').context("the worker failed")?;
        Ok((connect.parse()?, first.parse()?))
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        self.child.wait()?;
        Ok(())
    }
}

pub(crate) fn run(full: bool, figures: &mut Figures) -> Result<()> {
    let name = Lab::fresh_name("bench-latency");
    let mut builder = Lab::builder(&name).host(HostSpec::pod(
        "server",
        [SocketAddr::from(([10, 10, 0, 31], 0)).ip()],
    ));
    for (last, path) in (40..).zip(PATHS) {
        builder = builder.host(HostSpec::pod(
            path,
            [SocketAddr::from(([10, 10, 0, last], 0)).ip()],
        ));
    }
    let lab = builder.build()?;
    Server::on_port(PORT).start(lab.pod("server")?)?;
    let server = SocketAddr::new(lab.pod("server")?.v4()?, PORT);
    // Only this client's sockets are steered: the others do not run the program at all.
    let mut engine = images::engine(&lab, lab.pod("steer-10000")?.cgroup().path(), 10_000)?;
    let mut image = images::many(10_000, Proto::Tcp, server);
    image.routes.insert(
        images::key(0, 0, Proto::Tcp),
        images::route(0, false, &[(90, vec![server]), (10, vec![server])]),
    );
    engine.apply(&image)?;
    for services in [10, 1_000, 10_000] {
        rules::iptables(lab.pod(&format!("iptables-{services}"))?, services, server)?;
    }
    for services in [10, 10_000] {
        rules::nftables(lab.pod(&format!("nft-{services}"))?, services, server)?;
    }
    let envoy = envoy::Envoy::start(lab.pod("envoy")?, &envoy::tcp(10_000, &[(1, server)]))?;
    let mut workers: Vec<(&str, Worker)> = Vec::new();
    for path in PATHS {
        let target = match path {
            "direct" | "direct-again" => server,
            "envoy" => SocketAddr::from(([127, 0, 0, 1], 10_000)),
            // The middle rule: a chain is walked from its start.
            "iptables-10" | "nft-10" => SocketAddr::new(images::address(5).into(), 80),
            "iptables-1000" => SocketAddr::new(images::address(500).into(), 80),
            "iptables-10000" | "nft-10000" => SocketAddr::new(images::address(5_000).into(), 80),
            _ => SocketAddr::new(images::address(0).into(), 80),
        };
        workers.push((path, Worker::start(lab.pod(path)?, target)?));
    }
    let ratios = measure(&mut workers, if full { 60 } else { 15 })?;
    for (_, worker) in workers {
        worker.end()?;
    }
    envoy.stop()?;
    report(&ratios, figures);
    Ok(())
}

type Ratios = BTreeMap<&'static str, (f64, f64)>;

/// Rounds of 100 connects on each path in turn; the median over rounds of the ratio to direct.
fn measure(workers: &mut [(&'static str, Worker)], rounds: usize) -> Result<Ratios> {
    let mut ratios: BTreeMap<&'static str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for round in 0..=rounds {
        let mut batch = BTreeMap::new();
        for (path, worker) in workers.iter_mut() {
            batch.insert(*path, worker.batch(100)?);
        }
        // The first round warms up.
        if round == 0 {
            continue;
        }
        let direct = batch["direct"];
        for (path, found) in batch {
            let of_path = ratios.entry(path).or_default();
            of_path.0.push(found.0 / direct.0);
            of_path.1.push(found.1 / direct.1);
        }
    }
    Ok(ratios
        .into_iter()
        .map(|(path, (mut a, mut b))| (path, (median(&mut a), median(&mut b))))
        .collect())
}

fn report(ratios: &Ratios, figures: &mut Figures) {
    say(
        "connect() and connect() with the first byte, as ratios to direct (medians of batches in turn):",
    );
    for path in PATHS {
        let (connect, first) = ratios[path];
        say(&format!("  {path:<15} {connect:.3} {first:.3}"));
    }
    figures.add("connect.latency_ratio.direct_aa", ratios["direct-again"].0);
    figures.at_most(
        "connect.latency_ratio.steer_10000",
        ratios["steer-10000"].0,
        1.03,
    );
    figures.add(
        "connect.latency_ratio.iptables_10000",
        ratios["iptables-10000"].0,
    );
    figures.add("connect.latency_ratio.nft_10000", ratios["nft-10000"].0);
    // A connect to Envoy ends at the local proxy: only with the first byte it is a whole path.
    figures.add("connect.latency_ratio.envoy", ratios["envoy"].1);
}
