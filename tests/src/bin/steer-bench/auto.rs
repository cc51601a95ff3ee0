//! `split: auto`: what clients that keep their connections get of 90 and 10, and what it costs to count
//! requests.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use steer_tests::{lab::Lab, pod::Pod, server::http, topology};

use crate::{
    report::{Report, quartiles, say},
    web::Load,
};

/// The catalog's IPv4 address.
const CATALOG: &str = "10.200.1.92:80";
/// Of a hundred requests.
const SHARE: f64 = 10.0;
/// How long shares may stray before that is noticed: judgements are ten seconds apart.
const NOTICED_MAX: Duration = Duration::from_secs(40);

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("bench-auto"))?;
    lab.configure("destination-rule.yaml", topology::CATALOG_SUBSETS)?;
    lab.configure("route.yaml", &route("auto"))?;
    let agent = lab.agent()?;
    let client = lab.pod("client")?;
    let prices = price(&lab, client, if full { 40 } else { 5 })?;
    for (kind, ratio) in prices {
        report.figure(&format!("l7.auto_counted_ratio.{kind}"), ratio);
    }
    let bent = share_of(&lab, || {
        let begun = Instant::now();
        while !is_split_by_request(&lab)? {
            ensure!(
                begun.elapsed() < NOTICED_MAX,
                "shares stray, and nobody notices"
            );
            keep_asking(client, 1, 2)?;
        }
        say(&format!(
            "one connection that is kept: noticed after {:.1} s",
            begun.elapsed().as_secs_f64()
        ));
        Ok(())
    })?;
    say(&format!(
        "until then version 2 had {bent:.2} % of the requests"
    ));
    let kept = share_of(&lab, || {
        for connections in [1, 8, 32] {
            keep_asking(client, connections, if full { 20 } else { 2 })?;
        }
        Ok(())
    })?;
    say(&format!(
        "from then on version 2 has {kept:.3} % of the requests of 1, 8 and 32 connections that are kept"
    ));
    report.at_most("l7.auto_share_error_points", (kept - SHARE).abs(), 1.0);
    agent.stop()?;
    Ok(())
}

fn route(mode: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: catalog, namespace: istioinaction, annotations: {{steer.dev/split: {mode}}}}}\n\
         spec:\n  hosts: [catalog]\n  http:\n  - route:\n    \
         - {{destination: {{host: catalog, subset: v1}}, weight: 90}}\n    \
         - {{destination: {{host: catalog, subset: v2}}, weight: 10}}\n"
    )
}

/// Requests a second with counting as a ratio to those without, in turn.
fn price(lab: &Lab, client: &Pod, rounds: usize) -> Result<Vec<(&'static str, f64)>> {
    let target: SocketAddr = CATALOG.parse()?;
    let mut all = Vec::new();
    for (kind, close) in [("keepalive", false), ("close", true)] {
        let mut ratios = Vec::new();
        for round in 0..rounds {
            let mut rates = [0.0; 2];
            let modes = ["connection", "auto"];
            for at in [round % 2, 1 - round % 2] {
                in_force(lab, modes[at])?;
                let load = Load {
                    target,
                    connections: 32,
                    path: "/",
                    secs: 1,
                    close,
                    headers: &[],
                };
                rates[at] = load.run(client)?;
            }
            ratios.push(rates[1] / rates[0]);
        }
        let [low, middle, high] = quartiles(&ratios);
        say(&format!(
            "{kind}: requests a second while they are counted, as a ratio to those that are not: {middle:.3} ({low:.3} .. {high:.3})"
        ));
        all.push((kind, middle));
    }
    Ok(all)
}

/// Waits until the route has this mode.
fn in_force(lab: &Lab, mode: &str) -> Result<()> {
    lab.configure("route.yaml", &route(mode))?;
    let begun = Instant::now();
    while listed(lab)?["auto"].is_null() == (mode == "auto") {
        ensure!(begun.elapsed() < NOTICED_MAX, "{mode} is not in force");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Asks over connections that are kept.
fn keep_asking(client: &Pod, connections: u32, secs: u32) -> Result<()> {
    let (connections, secs) = (format!("-c{connections}"), format!("-d{secs}s"));
    let url = format!("http://{CATALOG}/");
    let text = client.run("wrk", &["-t1", &connections, &secs, &url])?;
    ensure!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "wrk: {text}"
    );
    Ok(())
}

/// The share of version 2, in percent, of what is asked meanwhile.
fn share_of(lab: &Lab, ask: impl FnOnce() -> Result<()>) -> Result<f64> {
    let count =
        |version: &str| -> Result<f64> { Ok(http::requests(lab.pod(version)?, 0)?.len() as f64) };
    let before = (count("catalog-v1")?, count("catalog-v2")?);
    ask()?;
    // Lines are written a moment after answers.
    thread::sleep(Duration::from_millis(500));
    let (first, second) = (
        count("catalog-v1")? - before.0,
        count("catalog-v2")? - before.1,
    );
    Ok(second * 100.0 / (first + second))
}

fn is_split_by_request(lab: &Lab) -> Result<bool> {
    Ok(listed(lab)?["auto"]["by"] == "request")
}

/// The catalog's route as it is listed.
fn listed(lab: &Lab) -> Result<Value> {
    let mut command = lab.steer("get")?;
    let output = command.args(["routes", "catalog", "-o", "json"]).output()?;
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let own = rows
        .into_iter()
        .find(|row| row["address"] == CATALOG && row["field"].is_string());
    own.context("the catalog has a route")
}
