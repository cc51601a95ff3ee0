//! Who talks with whom, for programs that draw it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    edge::{Edge, Reporter},
    store::Store,
    workload::Workload,
};

/// A workload, as a graph names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Node {
    /// Its namespace.
    pub namespace: String,
    /// Its workload.
    pub workload: String,
    /// What graphs call it.
    pub service: String,
    /// Which version of that.
    pub version: String,
}

/// What went from a workload to one that serves a service.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Traffic {
    /// Who asked.
    pub source: Node,
    /// By which name.
    pub service: String,
    /// Who was asked.
    pub destination: Node,
    /// Who saw it.
    pub reporter: &'static str,
    /// TCP connections that were opened.
    pub connections_opened: u64,
    /// Those that have closed.
    pub connections_closed: u64,
    /// Bytes that servers sent over them.
    pub sent_bytes: u64,
    /// Bytes that servers received.
    pub received_bytes: u64,
    /// Requests that were looked at.
    pub requests: u64,
    /// Those that were answered with a 5xx, or not at all; connections that were refused.
    pub errors: u64,
    /// How long requests took, in milliseconds, all together.
    pub duration_ms: f64,
}

/// All of it. Counts only grow while the agent runs: rates are differences of two graphs.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Graph {
    /// By source, service, destination and reporter.
    pub traffic: Vec<Traffic>,
}

impl Graph {
    /// That of these counters.
    pub fn new(store: &Store) -> Self {
        let mut all: BTreeMap<Key, Traffic> = BTreeMap::new();
        for (edge, tcp) in store.tcp() {
            let found = at(&mut all, edge);
            found.connections_opened += tcp.opened;
            found.connections_closed += tcp.closed;
            found.sent_bytes += tcp.sent;
            found.received_bytes += tcp.received;
            if !edge.flags.is_empty() {
                found.errors += tcp.closed;
            }
        }
        for (edge, asked, requests) in store.requests() {
            let found = at(&mut all, edge);
            found.requests += requests.duration.count;
            found.duration_ms += requests.duration.sum;
            if asked.code == 0 || asked.code >= 500 {
                found.errors += requests.duration.count;
            }
        }
        Self {
            traffic: all.into_values().collect(),
        }
    }
}

type Key = (Node, String, Node, Reporter);

fn at<'a>(all: &'a mut BTreeMap<Key, Traffic>, edge: &Edge) -> &'a mut Traffic {
    let (source, destination) = (node(&edge.source), node(&edge.destination));
    let service = if edge.service.namespace == super::workload::UNKNOWN {
        edge.service.name.clone()
    } else {
        edge.service.host.clone()
    };
    let key = (
        source.clone(),
        service.clone(),
        destination.clone(),
        edge.reporter,
    );
    all.entry(key).or_insert_with(|| Traffic {
        source,
        service,
        destination,
        reporter: edge.reporter.name(),
        connections_opened: 0,
        connections_closed: 0,
        sent_bytes: 0,
        received_bytes: 0,
        requests: 0,
        errors: 0,
        duration_ms: 0.0,
    })
}

fn node(of: &Workload) -> Node {
    Node {
        namespace: of.namespace.clone(),
        workload: of.name.clone(),
        service: of.canonical_service.clone(),
        version: of.canonical_revision.clone(),
    }
}
