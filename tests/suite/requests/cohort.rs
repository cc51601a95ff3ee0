//! Each request goes where its headers say, whichever connection it comes by.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{harness::test, server::http};

use crate::{
    clients::{self, INTERNAL, PUBLIC, both, curl, expected, python},
    stage::{COHORT, Stage, ensure_same, eventually, tally},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("cohort::requests_follow_their_header", by_header),
        test("cohort::http2_streams_follow_their_header", http2),
        test(
            "cohort::a_split_of_requests_is_exact_on_one_connection",
            split,
        ),
        test("cohort::requests_that_no_rule_takes_are_404", none_takes),
        test("cohort::listings_show_what_is_looked_at", listings),
        test("cohort::rules_for_some_clients_are_for_those", classes),
    ]
}

const CATALOG: &str = "http://catalog/items";

fn by_header() -> Result<()> {
    let stage = Stage::raise("cohort", COHORT)?;
    let client = stage.client()?;
    let cohorts = both(20);
    let wanted = expected(&cohorts);
    let handed = stage.reason("handed_over")?;
    for family in ["-4", "-6"] {
        let got = curl(client, CATALOG, &cohorts, &[family])?;
        ensure_same(&format!("curl {family}"), &got, &wanted)?;
    }
    ensure!(
        stage.reason("handed_over")? == handed + 2,
        "20 requests of curl are one connection"
    );
    for (host, peer) in [
        ("10.200.1.92", "10.200.1.92 80"),
        ("fd00:200:1::92", "fd00:200:1::92 80"),
    ] {
        let (told, got) = python(client, host, &cohorts)?;
        ensure_same("python3", &got, &wanted)?;
        ensure!(told == peer, "it dialled {peer} and is told {told}");
    }
    if clients::has_node() {
        let got = clients::node(client, CATALOG, &cohorts)?;
        ensure_same("node", &got, &wanted)?;
    }
    let got = curl(stage.lab.pod("webapp")?, CATALOG, &cohorts, &[])?;
    ensure_same("curl in webapp", &got, &wanted)
}

/// A catalog that speaks HTTP/2 without TLS; the rules of its VirtualService follow.
pub(crate) const HTTP2: &str = "\
apiVersion: v1
kind: Service
metadata: {name: catalog2, namespace: istioinaction}
spec:
  clusterIP: 10.200.1.77
  selector: {app: catalog}
  ports: [{name: http2, port: 80, targetPort: 3002}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: catalog2-1, namespace: istioinaction, labels: {kubernetes.io/service-name: catalog2}}
addressType: IPv4
ports: [{name: http2, port: 3002, protocol: TCP}]
endpoints:
  - {addresses: [10.10.0.12], conditions: {ready: true}, targetRef: {kind: Pod, name: catalog-v1, namespace: istioinaction}}
  - {addresses: [10.10.0.13], conditions: {ready: true}, targetRef: {kind: Pod, name: catalog-v2, namespace: istioinaction}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalog2, namespace: istioinaction}
spec:
  host: catalog2
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog2, namespace: istioinaction}
spec:
  hosts: [catalog2]
";

/// Requests of somebody inside go to its version 2.
const HTTP2_COHORT: &str = "
  http:
    - match: [{headers: {x-istio-cohort: {exact: internal}}}]
      route: [{destination: {host: catalog2, subset: v2}}]
    - route: [{destination: {host: catalog2, subset: v1}}]
";

fn http2() -> Result<()> {
    let stage = Stage::raise("http2", COHORT)?;
    for version in ["catalog-v1", "catalog-v2"] {
        http::start_http2(stage.lab.pod(version)?, 3002)?;
    }
    stage.configure("catalog2.yaml", &[HTTP2.trim_end(), HTTP2_COHORT].concat())?;
    let url = "http://10.200.1.77/items";
    // curl 7.88 cannot use such a connection twice.
    for (cohort, version) in [(INTERNAL, "v2"), (PUBLIC, "v1")] {
        let got = curl(
            stage.client()?,
            url,
            &[cohort],
            &["--http2-prior-knowledge"],
        )?;
        ensure!(got == [version], "curl as {cohort}: {got:?}");
    }
    if clients::has_node() {
        let cohorts = both(40);
        let handed = stage.reason("handed_over")?;
        let got = clients::node_http2(stage.client()?, url, &cohorts)?;
        ensure_same("node with HTTP/2", &got, &expected(&cohorts))?;
        ensure!(
            stage.reason("handed_over")? == handed + 1,
            "40 streams are one connection"
        );
    }
    Ok(())
}

/// Of requests, on one connection: any 100 of them hold exactly ten of version 2.
fn split() -> Result<()> {
    let stage = Stage::raise("split", COHORT)?;
    let rules = "\
http:
  - route:
      - {destination: {host: catalog, subset: v1}, weight: 90}
      - {destination: {host: catalog, subset: v2}, weight: 10}
";
    stage.route(rules, "steer.dev/split: request")?;
    let (_, got) = python(stage.client()?, "10.200.1.92", &[PUBLIC; 300])?;
    ensure!(got.len() == 300, "{} answers", got.len());
    for (start, window) in got.windows(100).enumerate() {
        let found = tally(window);
        ensure!(
            found.get("v1") == Some(&90) && found.get("v2") == Some(&10),
            "requests {start} to {}: {found:?}",
            start + 99
        );
    }
    // Without the annotation a connection is steered once.
    stage.route(rules, "")?;
    let (_, got) = python(stage.client()?, "10.200.1.92", &[PUBLIC; 100])?;
    ensure!(tally(&got).len() == 1, "{:?}", tally(&got));
    Ok(())
}

fn none_takes() -> Result<()> {
    let only = COHORT
        .rsplit_once("  - route")
        .map_or(COHORT, |(start, _)| start);
    let stage = Stage::raise("none", only)?;
    let (_, got) = python(stage.client()?, "10.200.1.92", &both(4))?;
    ensure!(got == ["v2", "404", "v2", "404"], "{got:?}");
    Ok(())
}

fn listings() -> Result<()> {
    let stage = Stage::raise("listings", COHORT)?;
    let text = stage.steer(&["get", "routes", "catalog", "-o", "json"])?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text)?;
    let shown: Vec<String> = rows
        .iter()
        .filter(|row| row["address"] == "10.200.1.92:80")
        .map(|row| format!("{} {} {}", row["depth"], row["match"], row["field"]).replace('"', ""))
        .collect();
    let wanted = [
        "request /* x-istio-cohort=internal spec.http[0]",
        "request /* spec.http[1]",
        "request (unseen) spec.http[1]",
    ];
    ensure!(shown == wanted, "{shown:?}");
    let text = stage.steer(&["explain", "client", "10.200.1.92:80"])?;
    for line in [
        "x-istio-cohort=internal -> outbound|80|v2|catalog.istioinaction.svc.cluster.local",
        "steered: handed to the agent, which looks at each request",
    ] {
        ensure!(text.contains(line), "{line:?} is not said: {text}");
    }
    let cohorts = [INTERNAL, PUBLIC, INTERNAL, INTERNAL];
    curl(stage.client()?, CATALOG, &cohorts, &["-4"])?;
    eventually("what rules have taken to be shown", || {
        let text = stage.steer(&["get", "routes", "catalog", "-o", "json"])?;
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        let rows = rows.iter().filter(|row| row["address"] == "10.200.1.92:80");
        let taken: Vec<u64> = rows.filter_map(|row| row["requests"].as_u64()).collect();
        Ok(taken == [3, 1])
    })
}

/// What is known of a client is not looked for in requests.
fn classes() -> Result<()> {
    let rules = "\
http:
  - match: [{sourceLabels: {app: webapp}, headers: {x-istio-cohort: {exact: internal}}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - route: [{destination: {host: catalog, subset: v1}}]
";
    let stage = Stage::raise("classes", rules)?;
    let of = |pod: &str| curl(stage.lab.pod(pod)?, CATALOG, &[INTERNAL, PUBLIC], &["-4"]);
    let (webapp, client) = (of("webapp")?, of("client")?);
    ensure!(
        webapp == ["v2", "v1"] && client == ["v1", "v1"],
        "{webapp:?} {client:?}"
    );
    Ok(())
}
