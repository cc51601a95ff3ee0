//! The run of 90 and 10 with real clients, and what Kiali would draw of it: every edge, with its share.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    figure::{Figure, Goal},
    harness::{test, test_with},
    need,
    topology::{ELSEWHERE_NAME, OUTSIDE_NAME},
};

use crate::{
    kiali::{self, Edge},
    scrape::Scrape,
    stage::Stage,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("edges::kiali_finds_every_edge_with_its_share", drawn),
        test("edges::a_mirror_is_known_to_whom_it_copies", mirrored),
        test("edges::what_the_agent_says_of_itself", own),
        test_with("promtool", "edges::promtool_reads_all_of_it", checked),
    ]
}

static EDGES: AtomicU64 = AtomicU64::new(0);
static FOUND: AtomicU64 = AtomicU64::new(0);

/// The figures.
pub(crate) fn figures() -> Vec<Figure> {
    let (edges, found) = (EDGES.load(Ordering::Relaxed), FOUND.load(Ordering::Relaxed));
    #[expect(clippy::cast_precision_loss, reason = "a handful of edges")]
    let all = Goal::AtLeast(edges as f64);
    vec![
        Figure::count("telemetry.kiali_edges", edges),
        Figure::count("telemetry.kiali_edges_found", found).goal(all),
    ]
}

const NAMESPACE: &str = "istioinaction";

/// Requests of the webapp are looked at.
const WEBAPP: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: webapp, namespace: istioinaction}
spec:
  hosts: [webapp]
  http:
    - match: [{headers: {x-nobody: {exact: sends}}}]
      route: [{destination: {host: forum}}]
    - route: [{destination: {host: webapp}}]
";

/// Protocol, source, service, destination and version, share.
type Expected = (
    &'static str,
    &'static str,
    &'static str,
    (&'static str, &'static str),
    f64,
);

const EXPECTED: [Expected; 6] = [
    ("tcp", "client", "catalog", ("catalog", "v1"), 0.9),
    ("tcp", "client", "catalog", ("catalog", "v2"), 0.1),
    ("http", "client", "webapp", ("webapp", "v1"), 1.0),
    ("tcp", "webapp", "catalog", ("catalog", "v1"), 0.9),
    ("tcp", "webapp", "catalog", ("catalog", "v2"), 0.1),
    ("tcp", "forum", OUTSIDE_NAME, ("unknown", "unknown"), 1.0),
];

fn drawn() -> Result<()> {
    let steps = [
        "destination-rule.yaml",
        "split-90-10.yaml",
        "registry-only.yaml",
        "service-entry.yaml",
    ];
    let stage = Stage::raise("edges", &steps, &[("webapp.yaml", WEBAPP)])?;
    let client = stage.lab.pod("client")?;
    let before = stage.scrape()?;
    for _ in 0..100 {
        ask(&stage, "client", "http://catalog/items")?;
    }
    for _ in 0..20 {
        client.run(
            "curl",
            &[
                "-sS4",
                "--fail",
                "--max-time",
                "10",
                "http://webapp/api/catalog",
            ],
        )?;
    }
    ask(&stage, "forum", &format!("http://{OUTSIDE_NAME}/"))?;
    let undeclared = ask(&stage, "client", &format!("http://{ELSEWHERE_NAME}/"));
    ensure!(undeclared.is_err(), "what nobody declares was reached");
    stage.eventually("all connections to be counted", || {
        let grown = stage.scrape()?.since(&before);
        let closed = grown.sum(
            "istio_tcp_connections_closed_total",
            &[("reporter", "source"), ("response_flags", "-")],
        );
        Ok(closed >= 121.0 && refused(&grown) >= 1.0)
    })?;
    let after = stage.scrape()?;
    let graph = kiali::graph(&before, &after, NAMESPACE);
    let mut missing = Vec::new();
    for (protocol, source, service, (canonical, version), wanted) in EXPECTED {
        let edge = Edge {
            protocol: protocol.to_owned(),
            source: source.to_owned(),
            service: service.to_owned(),
            destination: (canonical.to_owned(), version.to_owned()),
        };
        EDGES.fetch_add(1, Ordering::Relaxed);
        let share = kiali::share(&graph, &edge);
        // The split is exact in connections of each address, of which the webapp dials two, twenty times:
        // then one more or less may be of the other version. Answers of both have the same length but for
        // a header or two.
        let slack = if source == "webapp" { 0.06 } else { 0.02 };
        if (share - wanted).abs() < slack {
            FOUND.fetch_add(1, Ordering::Relaxed);
        } else {
            missing.push(format!("{edge:?}: {share}, expected {wanted}"));
        }
    }
    ensure!(missing.is_empty(), "{missing:#?}\n{graph:#?}");
    let others: Vec<&Edge> = graph.keys().filter(|edge| !is_expected(edge)).collect();
    ensure!(others.is_empty(), "nobody asked for these: {others:#?}");
    counts(&after.since(&before))?;
    proxied(&stage)
}

/// Connections that the proxy keeps are nobody's: their requests are counted. They are seen once they last.
fn proxied(stage: &Stage) -> Result<()> {
    stage.eventually("the proxy's connection to be seen", || {
        let followed = stage.scrape()?.sum("steer_telemetry_open_connections", &[]);
        Ok(followed >= 1.0)
    })?;
    let scrape = stage.scrape()?;
    for service in ["PassthroughCluster", "webapp"] {
        let labels = [
            ("source_workload", "client"),
            ("destination_service_name", service),
        ];
        let opened = scrape.sum("istio_tcp_connections_opened_total", &labels);
        ensure!(opened == 0.0, "{opened} connections to {service}");
    }
    Ok(())
}

fn is_expected(edge: &Edge) -> bool {
    EXPECTED
        .iter()
        .any(|(protocol, source, service, (canonical, version), _)| {
            (
                edge.protocol.as_str(),
                edge.source.as_str(),
                edge.service.as_str(),
            ) == (*protocol, *source, *service)
                && (edge.destination.0.as_str(), edge.destination.1.as_str())
                    == (*canonical, *version)
        })
}

/// What is exact whatever the length of answers.
fn counts(grown: &Scrape) -> Result<()> {
    let opened = |reporter: &str, source: &str, version: &str| {
        grown.sum(
            "istio_tcp_connections_opened_total",
            &[
                ("reporter", reporter),
                ("source_workload", source),
                ("destination_canonical_service", "catalog"),
                ("destination_canonical_revision", version),
            ],
        )
    };
    let mut found = BTreeMap::new();
    for reporter in ["source", "destination"] {
        for source in ["client", "webapp"] {
            for version in ["v1", "v2"] {
                found.insert(
                    (reporter, source, version),
                    opened(reporter, source, version),
                );
            }
        }
    }
    for reporter in ["source", "destination"] {
        let all: Vec<f64> = ["client", "webapp"]
            .iter()
            .flat_map(|source| ["v1", "v2"].map(|version| found[&(reporter, *source, version)]))
            .collect();
        let exact = all.starts_with(&[90.0, 10.0])
            && all[2] + all[3] == 20.0
            && (1.0..=3.0).contains(&all[3]);
        ensure!(exact, "{reporter}: {found:?}");
    }
    let requests = |reporter: &str| {
        let labels = [("reporter", reporter), ("response_code", "200")];
        grown.sum("istio_requests_total", &labels)
    };
    ensure!(
        (requests("source"), requests("destination")) == (20.0, 20.0),
        "requests of the webapp: {} and {}",
        requests("source"),
        requests("destination")
    );
    Ok(())
}

/// Connections of the client that were refused.
fn refused(grown: &Scrape) -> f64 {
    let labels = [
        ("source_workload", "client"),
        ("destination_service_name", "BlackHoleCluster"),
        ("destination_workload", "unknown"),
        ("response_flags", "UH"),
    ];
    grown.sum("istio_tcp_connections_closed_total", &labels)
}

/// Each time over a connection of its own.
fn ask(stage: &Stage, pod: &str, url: &str) -> Result<String> {
    let arguments = ["-sS4", "--fail", "--max-time", "10", url];
    stage.lab.pod(pod)?.run("curl", &arguments)
}

/// Version 2 gets copies: nobody's share, but Kiali sees that something comes.
fn mirrored() -> Result<()> {
    let stage = Stage::raise("copied", &["destination-rule.yaml", "mirror.yaml"], &[])?;
    for _ in 0..10 {
        ask(&stage, "client", "http://catalog/items")?;
    }
    let copies = |scrape: &Scrape, reporter: &str| {
        let labels = [
            ("reporter", reporter),
            ("destination_canonical_revision", "v2"),
            ("destination_service_name", "catalog"),
            ("source_workload", "client"),
        ];
        scrape.sum("istio_requests_total", &labels)
    };
    stage.eventually("copies to be counted", || {
        Ok(copies(&stage.scrape()?, "destination") >= 10.0)
    })?;
    let scrape = stage.scrape()?;
    ensure!(copies(&scrape, "source") == 0.0, "they have a share");
    let v2 = [("destination_canonical_revision", "v2")];
    let tcp = scrape.sum("istio_tcp_connections_opened_total", &v2);
    ensure!(tcp == 0.0, "{tcp} connections of the copies count as well");
    Ok(())
}

/// Its own figures are those of its listings.
fn own() -> Result<()> {
    let steps = ["destination-rule.yaml", "split-90-10.yaml"];
    let stage = Stage::raise("own", &steps, &[])?;
    for _ in 0..9 {
        ask(&stage, "client", "http://catalog/items")?;
    }
    let scrape = stage.scrape()?;
    ensure!(stage.get("/healthz")? == "ok\n", "it lives");
    let route = [
        ("service", "catalog"),
        ("transport", "TCP"),
        ("address", "10.200.1.92"),
        ("client", "*"),
    ];
    let connections = scrape.sum("steer_route_connections_total", &route);
    ensure!(connections == 9.0, "{connections} connections");
    let error = scrape.sum("steer_route_split_error", &route);
    let listed = stage
        .lab
        .steer("get")?
        .args(["routes", "catalog", "-o", "json"])
        .output()?;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
    let listed = listed.as_array().into_iter().flatten();
    let listed = listed.filter(|row| row["address"] == "10.200.1.92:80");
    let listed: Vec<f64> = listed
        .filter_map(|row| row["split_error"].as_f64())
        .collect();
    ensure!(listed == [error], "{listed:?} and {error}");
    let one = |metric: &str| scrape.sum(metric, &[]);
    ensure!(one("steer_generation") >= 1.0, "a generation");
    ensure!(
        (one("steer_generation") - one("steer_generation_wanted")).abs() < f64::EPSILON,
        "what is written is in force"
    );
    ensure!(one("steer_pods") >= 5.0, "{} pods", one("steer_pods"));
    ensure!(one("steer_apply_duration_seconds_count") >= 1.0, "an apply");
    ensure!(one("steer_verdicts_total") > 0.0, "verdicts");
    ensure!(one("steer_kernel_unreadable") == 0.0, "the maps are read");
    ensure!(
        scrape.sum("steer_ring_lost_total", &[("ring", "CONNECTIONS")]) == 0.0,
        "no record is lost"
    );
    let graph: serde_json::Value = serde_json::from_str(&stage.get("/graph.json")?)?;
    let traffic = graph["traffic"].as_array().map_or(0, Vec::len);
    ensure!(traffic >= 2, "{graph}");
    Ok(())
}

/// The text of an agent that has counted everything there is. Istio's own names are not what promtool would
/// have chosen; of the others it knows no better.
fn checked() -> Result<()> {
    let stage = Stage::raise(
        "checked",
        &["destination-rule.yaml", "split-90-10.yaml"],
        &[("webapp.yaml", WEBAPP)],
    )?;
    for host in ["catalog/items", "webapp/api/catalog"] {
        ask(&stage, "client", &format!("http://{host}"))?;
    }
    let counted = ["istio_requests_total", "istio_tcp_connections_closed_total"];
    stage.eventually("both kinds to be counted", || {
        let scrape = stage.scrape()?;
        Ok(counted.iter().all(|metric| scrape.sum(metric, &[]) > 0.0))
    })?;
    let mut promtool = Command::new(need::find("promtool")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = promtool.stdin.take().context("an input")?;
    input.write_all(stage.get("/metrics")?.as_bytes())?;
    drop(input);
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said)?;
    // 3 is what it thinks of names.
    let has_read = matches!(output.status.code(), Some(0 | 3));
    let ours: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("istio_"))
        .collect();
    ensure!(
        has_read && ours.is_empty(),
        "{:?}: {ours:#?}",
        output.status
    );
    Ok(())
}
