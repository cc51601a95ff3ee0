//! `split: auto`: connections are split until clients that keep theirs bend the shares of requests.

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer_tests::{harness::test, server::http};

use crate::{
    clients::{self, PUBLIC, python},
    cohort::HTTP2,
    stage::{Stage, eventually, reason, tally},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "auto::clients_that_keep_no_connection_stay_in_the_kernel",
            fresh,
        ),
        test(
            "auto::kept_connections_get_their_share_of_requests",
            kept_alive,
        ),
        test("auto::streams_of_http2_are_counted", http2),
        test(
            "auto::without_an_agent_connections_are_split_and_not_refused",
            away,
        ),
    ]
}

const SPLIT: &str = "\
http:
  - route:
      - {destination: {host: catalog, subset: v1}, weight: 90}
      - {destination: {host: catalog, subset: v2}, weight: 10}
";
/// Shorter than anybody would want it on a node.
const SOON: [&str; 6] = [
    "--auto-requests",
    "100",
    "--auto-every",
    "200ms",
    "--auto-hold",
    "1s",
];
/// Where the agent tells its metrics.
const METRICS: &str = "127.0.0.1:15020";
const ADDRESS: &str = "10.200.1.92";

fn fresh() -> Result<()> {
    let stage = Stage::raise_with("fresh", SPLIT, &SOON)?;
    let client = stage.client()?;
    for _ in 0..5 {
        let got = clients::fresh(client, ADDRESS, 100)?;
        let found = tally(&got);
        ensure!(found.get("v2") == Some(&10), "{found:?}");
        std::thread::sleep(std::time::Duration::from_millis(600));
    }
    let row = row(&stage, ADDRESS)?;
    let auto = &row["auto"];
    ensure!(
        row["depth"] == "connect" && auto["by"] == "connection",
        "{row}"
    );
    let judged = auto["requests"].as_u64().context("requests were counted")?;
    let points = auto["points"].as_f64().context("and judged")?;
    ensure!(judged >= 100 && points <= 1.0, "{auto}");
    ensure!(
        stage.reason("handed_over")? == 0,
        "a connection was handed over"
    );
    Ok(())
}

fn kept_alive() -> Result<()> {
    let counted = [&SOON[..], &["--metrics", METRICS]].concat();
    let stage = Stage::raise_with("kept", SPLIT, &counted)?;
    let client = stage.client()?;
    let (_, got) = python(client, ADDRESS, &[PUBLIC; 300])?;
    ensure!(
        tally(&got).len() == 1,
        "one connection has one version: {:?}",
        tally(&got)
    );
    by(&stage, "request")?;
    let found = row(&stage, ADDRESS)?;
    ensure!(found["depth"] == "request", "{found}");
    let points = found["auto"]["points"].as_f64();
    ensure!(points.is_some_and(|points| points > 2.0), "{found}");
    let text = scrape(&stage)?;
    ensure!(told(&text, "steer_route_split_by_request") == Some(1.0));
    ensure!(told(&text, "steer_route_strayed_points") == points);
    let judged = told(&text, "steer_route_judged_requests");
    ensure!(judged.is_some_and(|judged| judged >= 100.0), "{judged:?}");
    // So are those that come by the other address.
    ensure!(row(&stage, "[fd00:200:1::92]")?["depth"] == "request");
    let (_, got) = python(client, ADDRESS, &[PUBLIC; 300])?;
    exact(&got)?;
    // A connection for each request: the kernel can keep that alone.
    eventually("connections to be split again", || {
        let before = stage.reason("handed_over")?;
        let got = clients::fresh(client, ADDRESS, 100)?;
        ensure!(got.len() == 100, "{} answers", got.len());
        let is_back = row(&stage, ADDRESS)?["auto"]["by"] == "connection";
        Ok(is_back && stage.reason("handed_over")? == before)
    })?;
    eventually("it to be told", || {
        Ok(told(&scrape(&stage)?, "steer_route_split_by_request") == Some(0.0))
    })?;
    let events = stage.steer(&["events", "-o", "json"])?;
    let by: Vec<Value> = events
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let by = by.iter().filter(|event| event["event"] == "split_changed");
    let by: Vec<_> = by.map(|event| event["by"].as_str()).collect();
    ensure!(by == [Some("request"), Some("connection")], "{events}");
    let handed = stage.reason("handed_over")?;
    exact(&clients::fresh(client, ADDRESS, 200)?)?;
    ensure!(stage.reason("handed_over")? == handed);
    // Annotated otherwise, nothing is counted.
    stage.route(SPLIT, "steer.dev/split: connection")?;
    ensure!(row(&stage, ADDRESS)?["auto"].is_null());
    let (_, got) = python(client, ADDRESS, &[PUBLIC; 300])?;
    ensure!(tally(&got).len() == 1);
    Ok(())
}

fn http2() -> Result<()> {
    let stage = Stage::raise_with("auto2", SPLIT, &SOON)?;
    for version in ["catalog-v1", "catalog-v2"] {
        http::start_http2(stage.lab.pod(version)?, 3002)?;
    }
    let split = SPLIT
        .replace("host: catalog,", "host: catalog2,")
        .replace('\n', "\n  ");
    stage.configure("catalog2.yaml", &[HTTP2, "  ", split.trim_end()].concat())?;
    let ask = || clients::node_http2(stage.client()?, "http://10.200.1.77/items", &[PUBLIC; 300]);
    let got = ask()?;
    ensure!(tally(&got).len() == 1, "{:?}", tally(&got));
    eventually("streams to be split", || {
        Ok(row(&stage, "10.200.1.77")?["auto"]["by"] == "request" && tally(&ask()?).len() == 2)
    })?;
    let got = ask()?;
    let found = tally(&got);
    ensure!(
        found.get("v1") == Some(&270) && found.get("v2") == Some(&30),
        "{found:?}"
    );
    Ok(())
}

fn away() -> Result<()> {
    let closed = [&SOON[..], &["--when-away", "closed"]].concat();
    let stage = Stage::raise_with("autoaway", SPLIT, &closed)?;
    python(stage.client()?, ADDRESS, &[PUBLIC; 300])?;
    by(&stage, "request")?;
    let Stage { agent, lab } = stage;
    agent.kill()?;
    // Those that connected before listeners were open took the kernel's split as well.
    let before = reason(&lab, "catch_all")?;
    exact(&clients::fresh(lab.pod("client")?, ADDRESS, 200)?)?;
    ensure!(reason(&lab, "agent_away")? == 0);
    ensure!(reason(&lab, "catch_all")? == before + 200);
    Ok(())
}

/// Waits until this is split.
fn by(stage: &Stage, what: &str) -> Result<()> {
    eventually(&format!("{what}s to be split"), || {
        Ok(row(stage, ADDRESS)?["auto"]["by"] == what)
    })?;
    // On a busy machine listeners may take their time; until then connections take the kernel's split.
    eventually("a connection to have both versions", || {
        let (_, got) = python(stage.client()?, ADDRESS, &[PUBLIC; 20])?;
        Ok(tally(&got).len() == 2)
    })
}

/// The listed route of an address, which needs no request to be seen.
fn row(stage: &Stage, address: &str) -> Result<Value> {
    let text = stage.steer(&["get", "routes", "-o", "json"])?;
    let rows: Vec<Value> = serde_json::from_str(&text)?;
    let of_address = format!("{address}:80");
    let own = |row: &&Value| {
        row["address"] == *of_address && !row["destinations"].as_array().is_none_or(Vec::is_empty)
    };
    rows.iter()
        .find(own)
        .cloned()
        .context("the route is listed")
}

/// The text of /metrics.
fn scrape(stage: &Stage) -> Result<String> {
    let url = format!("http://{METRICS}/metrics");
    stage.lab.node()?.run("curl", &["-sS", "--fail", &url])
}

/// What it says of the route, if anything.
fn told(text: &str, metric: &str) -> Option<f64> {
    let address = format!("address=\"{ADDRESS}\"");
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(metric) && line.contains(&address))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Any hundred of them hold exactly ten of version 2.
fn exact(got: &[String]) -> Result<()> {
    for (start, window) in got.windows(100).enumerate() {
        let found = tally(window);
        ensure!(
            found.get("v1") == Some(&90) && found.get("v2") == Some(&10),
            "requests {start} to {}: {found:?}",
            start + 99
        );
    }
    Ok(())
}
