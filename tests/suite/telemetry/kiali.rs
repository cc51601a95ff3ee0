//! Kiali's own queries and rules, over two scrapes: what it would draw. It adds up the rates of series
//! with the same labels, and leaves out a series of which a label is missing.

use std::collections::BTreeMap;

use crate::scrape::{Labels, Scrape};

/// What series are added up by; each of the labels must be there.
const LABELS: [&str; 14] = [
    "source_cluster",
    "source_workload_namespace",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_cluster",
    "destination_service_namespace",
    "destination_service",
    "destination_service_name",
    "destination_workload_namespace",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "response_flags",
];

/// What it asks for, and what else a series must have.
const QUERIES: [(&str, &[&str]); 2] = [
    (
        "istio_requests_total",
        &["request_protocol", "response_code"],
    ),
    ("istio_tcp_sent_bytes_total", &[]),
];

/// A line of the graph.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Edge {
    /// http, grpc or tcp.
    pub(crate) protocol: String,
    /// The workload that asks.
    pub(crate) source: String,
    /// By which name.
    pub(crate) service: String,
    /// The canonical service that is asked, and its version.
    pub(crate) destination: (String, String),
}

/// The graph of a namespace: each edge, and how much there was of it.
pub(crate) fn graph(before: &Scrape, after: &Scrape, namespace: &str) -> BTreeMap<Edge, f64> {
    let grown = after.since(before);
    // Who asks knows better than who is asked: the latter counts for edges of which nobody else knows.
    let mut edges = query(&grown, "source", "source_workload_namespace", namespace);
    let seen = query(
        &grown,
        "destination",
        "destination_workload_namespace",
        namespace,
    );
    for (edge, value) in seen {
        edges.entry(edge).or_insert(value);
    }
    edges
}

fn query(grown: &Scrape, reporter: &str, label: &str, namespace: &str) -> BTreeMap<Edge, f64> {
    let mut edges = BTreeMap::new();
    for (metric, more) in QUERIES {
        for (labels, value) in grown.of(metric) {
            let wanted = labels
                .get("reporter")
                .is_some_and(|found| found == reporter)
                && labels.get(label).is_some_and(|found| found == namespace);
            let has_all = LABELS
                .iter()
                .chain(more)
                .all(|label| labels.contains_key(*label));
            if wanted && has_all && value > 0.0 {
                *edges.entry(edge(metric, labels)).or_default() += value;
            }
        }
    }
    edges
}

fn edge(metric: &str, labels: &Labels) -> Edge {
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    Edge {
        protocol: if metric.contains("_tcp_") {
            "tcp".to_owned()
        } else {
            label("request_protocol")
        },
        source: label("source_workload"),
        service: label("destination_service_name"),
        destination: (
            label("destination_canonical_service"),
            label("destination_canonical_revision"),
        ),
    }
}

/// How much of the traffic from a workload to a service an edge has.
pub(crate) fn share(graph: &BTreeMap<Edge, f64>, edge: &Edge) -> f64 {
    let beside = graph.iter().filter(|(other, _)| {
        other.source == edge.source
            && other.service == edge.service
            && other.protocol == edge.protocol
    });
    let all: f64 = beside.map(|(_, value)| value).sum();
    graph.get(edge).copied().unwrap_or_default() / all
}
