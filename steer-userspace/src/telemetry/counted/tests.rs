//! From records and requests to series, in a shop of three pods.

use std::collections::BTreeMap;

use steer_common::connection::OBSERVE_OPENED;

use super::*;
use crate::{
    desired::{Settings, lower},
    image,
    plan::{Capacity, Layout},
    source::{Snapshot, files::parse_text},
    telemetry::{Scrape, Standing},
};

const SHOP: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: webapp, namespace: shop, labels: {app: webapp, version: v7}}
spec: {containers: []}
status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: catalog-v1, namespace: shop, labels: {app: catalog, version: v1}}
spec: {containers: []}
status: {podIP: 10.0.0.2, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec: {selector: {app: catalog}, clusterIP: 10.9.0.1, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: far, namespace: shop, labels: {app: far}}
spec: {containers: []}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: shop}
spec: {clusterIP: 10.9.0.2, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: far-1, namespace: shop, labels: {kubernetes.io/service-name: far}}
addressType: IPv4
ports: [{port: 80, name: ''}]
endpoints: [{addresses: [10.0.9.9], targetRef: {kind: Pod, name: far, namespace: shop}}]
---
apiVersion: v1
kind: Service
metadata: {name: peers, namespace: shop}
spec: {selector: {app: webapp}, clusterIP: None, ports: [{port: 7000}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec: {hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
";

/// The pods, by the cookies of their namespaces; the catalog is on another node.
fn local() -> BTreeMap<u64, PodRef> {
    BTreeMap::from([(1, pod("webapp"))])
}

fn pod(name: &str) -> PodRef {
    PodRef {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

/// What is counted, and the split of the catalog.
fn shop(most: usize, local: &BTreeMap<u64, PodRef>) -> (Counted, SplitId) {
    let (objects, findings) = parse_text("shop.yaml", SHOP).unwrap();
    assert_eq!(findings, []);
    let snapshot = Snapshot::from_objects(objects, findings);
    let desired = lower(
        &snapshot,
        &Settings::default(),
        &local.values().cloned().collect(),
    );
    let mut layout = Layout::new(Capacity::for_services(100));
    layout.plan(&image::compile(&desired, local)).unwrap();
    let placed = layout.placed().values();
    let split = placed
        .filter(|placed| placed.route.service.name == "catalog")
        .map(|placed| placed.split)
        .next()
        .unwrap();
    let mut counted = Counted::new(most, Recent::default(), 1);
    counted.follow(Directory::new(&snapshot, &desired, &layout, local, "east"));
    (counted, split)
}

fn peer(text: &str) -> Peer {
    Peer::from(text.parse::<SocketAddr>().unwrap())
}

fn opened(split: SplitId) -> Connection {
    Connection {
        opened_ns: 5,
        closed_ns: 0,
        namespace: 1,
        received: 0,
        sent: 0,
        dialled: peer("10.9.0.1:80"),
        local: peer("10.0.0.1:40000"),
        remote: peer("10.0.0.2:8080"),
        service: 3,
        split,
        destination: 0,
        side: OBSERVE_OPENED,
        rtt_us: 0,
    }
}

fn closed(split: SplitId) -> Connection {
    Connection {
        closed_ns: 9,
        sent: 79,
        received: 500,
        ..opened(split)
    }
}

fn unsteered(remote: &str) -> Connection {
    Connection {
        service: 0,
        dialled: peer(remote),
        remote: peer(remote),
        ..closed(0)
    }
}

/// One that is open.
fn sample(split: SplitId, sent: u64, received: u64) -> Connection {
    Connection {
        sent,
        received,
        ..opened(split)
    }
}

/// Looks, and sees that.
fn look(counted: &mut Counted, samples: &[Connection]) {
    counted.look();
    counted.sampled(samples, |_| true, |_| None);
}

fn record(counted: &mut Counted, record: &Connection, name: Option<&str>) {
    counted.record(record, || name.map(str::to_owned));
}

/// Source, service's name, destination, and what was counted.
fn tcp(counted: &Counted) -> Vec<(String, String, String, Tcp)> {
    let all = counted.store().tcp();
    all.map(|(edge, tcp)| {
        (
            edge.source.name.clone(),
            edge.service.name.clone(),
            edge.destination.name.clone(),
            *tcp,
        )
    })
    .collect()
}

fn row(
    source: &str,
    service: &str,
    destination: &str,
    counts: [u64; 4],
) -> (String, String, String, Tcp) {
    let [opened, closed, sent, received] = counts;
    let tcp = Tcp {
        opened,
        closed,
        sent,
        received,
    };
    (
        source.to_owned(),
        service.to_owned(),
        destination.to_owned(),
        tcp,
    )
}

#[test]
fn a_short_connection_counts_when_it_closes() {
    let (mut counted, split) = shop(100, &local());
    for times in 1..=2 {
        record(&mut counted, &closed(split), None);
        // The server sent 500 bytes.
        let found = [times, times, 500 * times, 79 * times];
        assert_eq!(
            tcp(&counted),
            [row("webapp", "catalog", "catalog-v1", found)]
        );
    }
    assert_eq!(counted.open(), 0);
}

#[test]
fn one_that_lasts_counts_once_it_was_seen() {
    let (mut counted, split) = shop(100, &local());
    for (sent, received) in [(0, 0), (60, 100), (79, 500)] {
        look(&mut counted, &[sample(split, sent, received)]);
        let found = [1, 0, received, sent];
        assert_eq!(
            tcp(&counted),
            [row("webapp", "catalog", "catalog-v1", found)]
        );
    }
    // Its end has said that it sends no more.
    look(&mut counted, &[sample(split, 0, 0)]);
    assert_eq!(counted.open(), 1);
    record(&mut counted, &closed(split), None);
    assert_eq!(
        tcp(&counted),
        [row("webapp", "catalog", "catalog-v1", [1, 1, 500, 79])]
    );
    assert_eq!(counted.open(), 0);
}

#[test]
fn one_that_closes_while_somebody_looks_counts_once() {
    let (mut counted, split) = shop(100, &local());
    counted.look();
    record(&mut counted, &closed(split), None);
    counted.sampled(&[sample(split, 60, 100)], |_| true, |_| None);
    assert_eq!(
        tcp(&counted),
        [row("webapp", "catalog", "catalog-v1", [1, 1, 500, 79])]
    );
    assert_eq!(counted.open(), 0);
}

#[test]
fn one_that_was_open_before_anybody_counted_counts_from_then_on() {
    let (mut counted, split) = shop(100, &local());
    counted.began_ns = 6;
    look(&mut counted, &[sample(split, 70, 400)]);
    record(&mut counted, &closed(split), None);
    assert_eq!(
        tcp(&counted),
        [row("webapp", "catalog", "catalog-v1", [0, 1, 100, 9])]
    );
    // What passed after anybody counted is not known of one that nobody saw.
    record(&mut counted, &closed(split), None);
    assert_eq!(tcp(&counted)[0].3.closed, 2);
    assert_eq!(tcp(&counted)[0].3.sent, 100);
}

#[test]
fn one_whose_end_was_lost_is_closed_after_a_while() {
    let (mut counted, split) = shop(100, &local());
    look(&mut counted, &[sample(split, 0, 0)]);
    for _ in 0..3 {
        counted.sampled(&[], |namespace| namespace == 2, |_| None);
    }
    assert_eq!(counted.open(), 1, "its namespace was not looked at");
    for _ in 0..3 {
        counted.sampled(&[], |namespace| namespace == 1, |_| None);
    }
    assert_eq!(counted.open(), 0);
    assert_eq!(tcp(&counted)[0].3.closed, 1);
}

/// Whose requests are counted, its connections are not.
#[test]
fn connections_of_the_proxy_are_left_to_it() {
    let at_server = Connection {
        side: OBSERVE_ACCEPTED,
        service: 0,
        local: peer("10.0.0.1:7000"),
        remote: peer("10.0.9.9:40000"),
        ..closed(0)
    };
    let made = || {
        let made = Recent::default();
        made.add("10.0.9.9:40000".parse().unwrap(), Duration::ZERO);
        let (mut counted, _) = shop(100, &local());
        counted.made = made;
        counted
    };
    let mut short = made();
    record(&mut short, &at_server, None);
    assert_eq!(tcp(&short), []);
    let mut lasting = made();
    let open = Connection {
        closed_ns: 0,
        ..at_server
    };
    for _ in 0..2 {
        look(&mut lasting, &[open]);
    }
    record(&mut lasting, &at_server, None);
    assert_eq!(tcp(&lasting), []);
    // The port is somebody else's now.
    record(&mut lasting, &at_server, None);
    assert_eq!(tcp(&lasting).len(), 1);
}

#[test]
fn whoever_was_asked_reports_as_well() {
    let local = BTreeMap::from([(1, pod("webapp")), (2, pod("catalog-v1"))]);
    let (mut counted, _) = shop(100, &local);
    record(
        &mut counted,
        &Connection {
            namespace: 2,
            side: OBSERVE_ACCEPTED,
            service: 0,
            local: peer("10.0.0.2:8080"),
            remote: peer("10.0.0.1:40000"),
            sent: 500,
            received: 79,
            ..closed(0)
        },
        None,
    );
    assert_eq!(
        tcp(&counted),
        [row("webapp", "catalog", "catalog-v1", [1, 1, 500, 79])]
    );
    let (edge, _) = counted.store().tcp().next().unwrap();
    assert_eq!(edge.reporter, Reporter::Destination);
}

#[test]
fn what_no_rule_leads_has_a_name_if_the_registry_has() {
    let (mut counted, _) = shop(100, &local());
    record(
        &mut counted,
        &unsteered("192.0.2.1:80"),
        Some("api.example.com"),
    );
    record(
        &mut counted,
        &unsteered("192.0.2.2:80"),
        Some("other.example.com"),
    );
    record(&mut counted, &unsteered("192.0.2.3:80"), None);
    // A pod of a service without an address is dialled itself.
    record(&mut counted, &unsteered("10.0.0.1:7000"), None);
    // A pod behind an address is not: Envoy would not know it either.
    record(&mut counted, &unsteered("10.0.0.2:8080"), None);
    let target = Target {
        name: "example.org".to_owned(),
        port: 443,
        reason: "not_in_registry".to_owned(),
    };
    counted.refused(Some(&pod("webapp")), target.clone());
    let refused: Vec<_> = counted.refusals().collect();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].1, refused[0].2), (&target, 1));
    assert_eq!(refused[0].0.name, "webapp");
    let mut found = tcp(&counted);
    found.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(
        found,
        [
            row("webapp", "BlackHoleCluster", "unknown", [1, 1, 0, 0]),
            row(
                "webapp",
                "PassthroughCluster",
                "unknown",
                [3, 3, 1_500, 237]
            ),
            row("webapp", "api.example.com", "unknown", [1, 1, 500, 79]),
            row("webapp", "peers", "webapp", [1, 1, 500, 79]),
        ]
    );
}

#[test]
fn pods_of_other_nodes_have_the_addresses_of_their_endpoints() {
    let (mut counted, _) = shop(100, &local());
    record(
        &mut counted,
        &Connection {
            side: OBSERVE_ACCEPTED,
            service: 0,
            local: peer("10.0.0.1:7000"),
            remote: peer("10.0.9.9:40000"),
            ..closed(0)
        },
        None,
    );
    assert_eq!(
        tcp(&counted),
        [row("far", "peers", "webapp", [1, 1, 79, 500])]
    );
}

fn outcome(code: u16, upstream: Option<&str>) -> Outcome {
    Outcome {
        pod: Arc::new(pod("webapp")),
        cluster: upstream.map(|_| "outbound|80||catalog.shop.svc.cluster.local".into()),
        dialled: "10.9.0.1:80".parse().unwrap(),
        upstream: upstream.map(|text| text.parse().unwrap()),
        flags: Vec::new(),
        asked: Asked {
            protocol: Protocol::Grpc,
            code,
            grpc: Some(5),
        },
    }
}

const AMOUNT: Amount = Amount {
    duration: Duration::from_millis(12),
    received: 10,
    sent: 20,
    messages: [3, 4],
};

#[test]
fn a_request_counts_at_its_client_and_at_its_server_if_that_is_here() {
    let both = BTreeMap::from([(1, pod("webapp")), (2, pod("catalog-v1"))]);
    for (local, here) in [(local(), false), (both, true)] {
        let (mut counted, _) = shop(100, &local);
        for _ in 0..2 {
            counted.request(&outcome(200, Some("10.0.0.2:8080")), &AMOUNT);
        }
        let all: Vec<_> = counted.store().requests().collect();
        assert_eq!(all.len(), 1 + usize::from(here));
        for (edge, asked, found) in all {
            assert_eq!(edge.destination.name, "catalog-v1");
            assert_eq!((asked.protocol, asked.grpc), (Protocol::Grpc, Some(5)));
            assert_eq!((found.duration.count, found.sent.sum), (2, 40.0));
            assert_eq!(found.messages, [6, 8]);
        }
    }
}

#[test]
fn a_request_that_no_rule_takes_is_of_the_service_that_was_dialled() {
    let (mut counted, _) = shop(100, &local());
    let nowhere = Outcome {
        flags: vec![Flag::NoRouteFound],
        ..outcome(404, None)
    };
    counted.request(&nowhere, &AMOUNT);
    let (edge, asked, _) = counted.store().requests().next().unwrap();
    assert_eq!((&*edge.service.name, asked.code), ("catalog", 404));
    assert_eq!(edge.destination.name, "unknown");
}

#[test]
fn only_who_was_copied_to_knows_of_a_copy() {
    let (mut counted, _) = shop(100, &local());
    let to = "10.0.0.2:8080".parse().unwrap();
    counted.copied(1, to, Protocol::Http, 200, 1);
    let (edge, ..) = counted.store().requests().next().unwrap();
    assert_eq!(edge.reporter, Reporter::Destination);
    assert_eq!(
        (&*edge.source.name, &*edge.service.name),
        ("webapp", "catalog")
    );
}

#[test]
fn what_does_not_fit_is_counted_without_labels() {
    let (mut counted, split) = shop(1, &local());
    record(&mut counted, &closed(split), None);
    for remote in ["192.0.2.1:80", "192.0.2.2:80"] {
        record(&mut counted, &unsteered(remote), Some("api.example.com"));
    }
    let strange = row("unknown", "unknown", "unknown", [2, 2, 1_000, 158]);
    assert!(tcp(&counted).contains(&strange), "{:?}", tcp(&counted));
    assert_eq!(counted.store().overflowed(), 2);
}

#[test]
fn series_of_pods_that_are_gone_expire() {
    let (mut counted, split) = shop(100, &local());
    counted.tick(1);
    record(&mut counted, &closed(split), None);
    counted.tick(1 + 2 * EXPIRE_NS);
    assert_eq!(counted.store().len(), 1, "the pods are there");
    counted.follow(Directory::default());
    counted.tick(1 + 2 * EXPIRE_NS + EXPIRE_EVERY_NS);
    assert!(counted.store().is_empty());
}

#[test]
fn a_text_has_every_label_and_every_metric_is_known() {
    let (mut counted, split) = shop(100, &local());
    record(&mut counted, &closed(split), None);
    counted.request(&outcome(200, Some("10.0.0.2:8080")), &AMOUNT);
    counted.request(&outcome(200, Some("10.0.0.2:8080")), &AMOUNT);
    let standing = Standing::default();
    let text = Scrape::new(&counted).standing(&standing, 7).text();
    let line = "istio_tcp_sent_bytes_total{reporter=\"source\",source_workload=\"webapp\",\
        source_workload_namespace=\"shop\",source_principal=\"unknown\",source_app=\"webapp\",\
        source_version=\"v7\",source_cluster=\"east\",source_canonical_service=\"webapp\",\
        source_canonical_revision=\"v7\",destination_workload=\"catalog-v1\",\
        destination_workload_namespace=\"shop\",destination_principal=\"unknown\",\
        destination_app=\"catalog\",destination_version=\"v1\",destination_cluster=\"east\",\
        destination_canonical_service=\"catalog\",destination_canonical_revision=\"v1\",\
        destination_service=\"catalog.shop.svc.cluster.local\",destination_service_name=\"catalog\",\
        destination_service_namespace=\"shop\",connection_security_policy=\"unknown\",\
        request_protocol=\"tcp\",response_flags=\"-\"} 500";
    assert!(text.lines().any(|found| found == line), "{text}");
    let request = "request_protocol=\"grpc\",response_flags=\"-\",response_code=\"200\",\
        grpc_response_status=\"5\"} ";
    for (metric, value) in [
        ("istio_requests_total", "2"),
        ("istio_request_messages_total", "6"),
        ("istio_response_messages_total", "8"),
    ] {
        let of_metric = |found: &&str| found.starts_with(&format!("{metric}{{"));
        let line = text.lines().find(of_metric).unwrap();
        assert!(line.ends_with(&format!("{request}{value}")), "{line}");
    }
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        let known = super::super::ALL.iter().any(|metric| metric.name == name);
        assert!(known, "{line}");
    }
}
