//! Requests a second by wrk against nginx: direct, steered, and through Envoy.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result};
use steer::image::Image;
use steer_common::Proto;
use steer_tests::{
    lab::{HostSpec, Lab},
    pod::Pod,
    server::http,
};

use crate::{
    envoy,
    figures::{Figures, median, say},
    images,
};

const PATHS: [&str; 3] = ["direct", "steer", "envoy"];

pub(crate) fn run(full: bool, figures: &mut Figures) -> Result<()> {
    let name = Lab::fresh_name("bench-throughput");
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
    http::start(lab.pod("server")?, 8080)?;
    let server = SocketAddr::new(lab.pod("server")?.v4()?, 8080);
    let mut engine = images::engine(&lab, lab.pod("steer")?.cgroup().path(), 64)?;
    let route = images::route(0, false, &[(90, vec![server]), (10, vec![server])]);
    let image = Image {
        routes: BTreeMap::from([(images::key(0, 0, Proto::Tcp), route)]),
        ..Image::default()
    };
    engine.apply(&image)?;
    let envoy = envoy::Envoy::start(lab.pod("envoy")?, &envoy::http(10_000, server))?;
    let target = |path: &str| match path {
        "direct" => server,
        "steer" => SocketAddr::new(images::address(0).into(), 80),
        _ => SocketAddr::from(([127, 0, 0, 1], 10_000)),
    };
    let (rounds, secs) = if full { (9, 3) } else { (3, 1) };
    let mut all = BTreeMap::new();
    for (kind, header) in [("keep-alive", None), ("close", Some("Connection: close"))] {
        let mut ratios: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for _ in 0..rounds {
            let mut rates = BTreeMap::new();
            for path in PATHS {
                rates.insert(path, wrk(lab.pod(path)?, target(path), secs, header)?);
            }
            for path in PATHS {
                ratios
                    .entry(path)
                    .or_default()
                    .push(rates[path] / rates["direct"]);
            }
        }
        for path in ["steer", "envoy"] {
            let ratio = ratios.get_mut(path).map_or(f64::NAN, |found| median(found));
            say(&format!(
                "{kind}: {path} has {ratio:.3} of the direct requests a second (median of {rounds} rounds in turn)"
            ));
            all.insert((kind, path), ratio);
        }
    }
    envoy.stop()?;
    figures.at_least(
        "throughput.keepalive_ratio",
        all[&("keep-alive", "steer")],
        0.99,
    );
    figures.at_least("throughput.close_ratio", all[&("close", "steer")], 0.99);
    figures.add(
        "throughput.envoy_keepalive_ratio",
        all[&("keep-alive", "envoy")],
    );
    Ok(())
}

/// Requests a second over 32 connections.
fn wrk(pod: &Pod, target: SocketAddr, secs: u32, header: Option<&str>) -> Result<f64> {
    let (duration, url) = (format!("-d{secs}s"), format!("http://{target}/"));
    let mut arguments = vec!["-t1", "-c32", &duration];
    if let Some(header) = header {
        arguments.extend(["-H", header]);
    }
    arguments.push(&url);
    let text = pod.run("wrk", &arguments)?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(line.context("wrk tells no rate")?.trim().parse()?)
}
