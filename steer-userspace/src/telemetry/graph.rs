//! Who talks with whom, for programs that draw it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    counted::Counted,
    edge::{Edge, Reporter},
    workload::Workload,
};

mod picture;
mod ruled;
mod window;

pub use picture::Picture;
pub use ruled::{Led, Routed, Ruled, Ruling, Told};
pub use window::Window;

/// A workload, as a graph names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Traffic {
    /// Who asked.
    pub source: Node,
    /// By which name.
    pub service: String,
    /// Who was asked.
    pub destination: Node,
    /// Who saw it.
    pub reporter: Reporter,
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
    /// Of the connections, those that were refused.
    #[serde(default)]
    pub refused: u64,
    /// Of the requests, those that were copies.
    #[serde(default)]
    pub copies: u64,
    /// How long requests took, in milliseconds, all together.
    pub duration_ms: f64,
}

/// All of it. Counts only grow while the agent runs: rates are differences of two graphs.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Graph {
    /// By source, service, destination and reporter.
    pub traffic: Vec<Traffic>,
    /// Connections that were refused, by source and by what they were for; no more than some hundreds.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// Connections that were refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Who asked.
    pub source: Node,
    /// For which name, or which address if nobody knows one; empty is whatever did not fit.
    pub name: String,
    /// The port; 0 for protocols without.
    pub port: u16,
    /// Why.
    pub reason: String,
    /// How many. The kernel bounds how many it tells of.
    pub count: u64,
}

impl Refused {
    fn key(&self) -> (&Node, &str, u16, &str) {
        (&self.source, &self.name, self.port, &self.reason)
    }
}

impl Graph {
    /// That of these counters.
    pub fn new(counted: &Counted) -> Self {
        let store = counted.store();
        let mut all: BTreeMap<Key, Traffic> = BTreeMap::new();
        for (edge, tcp) in store.tcp() {
            let found = at(&mut all, edge);
            found.connections_opened += tcp.opened;
            found.connections_closed += tcp.closed;
            found.sent_bytes += tcp.sent;
            found.received_bytes += tcp.received;
            if !edge.flags.is_empty() {
                found.errors += tcp.closed;
                found.refused += tcp.closed;
            }
        }
        for (edge, asked, requests) in store.requests() {
            let found = at(&mut all, edge);
            found.requests += requests.duration.count;
            found.copies += requests.copies;
            found.duration_ms += requests.duration.sum;
            if asked.code == 0 || asked.code >= 500 {
                found.errors += requests.duration.count;
            }
        }
        let refused = counted.refusals().map(|(source, target, count)| Refused {
            source: node(source),
            name: target.name.clone(),
            port: target.port,
            reason: target.reason.clone(),
            count,
        });
        Self {
            traffic: all.into_values().collect(),
            refused: refused.collect(),
        }
    }

    /// What was counted since another. An agent that began anew in between counted from zero.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let then: BTreeMap<KeyRef<'_>, &Traffic> =
            before.traffic.iter().map(|one| (one.key(), one)).collect();
        let grown = self.traffic.iter().map(|now| {
            let then = then.get(&now.key());
            now.since(then.copied().filter(|then| !now.began_anew(then)))
        });
        let then: BTreeMap<_, u64> = before
            .refused
            .iter()
            .map(|one| (one.key(), one.count))
            .collect();
        let refused = self.refused.iter().map(|now| {
            let then = then.get(&now.key()).filter(|then| **then <= now.count);
            Refused {
                count: now.count - then.copied().unwrap_or_default(),
                ..now.clone()
            }
        });
        Self {
            traffic: grown.collect(),
            refused: refused.collect(),
        }
    }

    /// What several agents counted.
    pub fn joined(all: impl IntoIterator<Item = Self>) -> Self {
        let mut joined: BTreeMap<Key, Traffic> = BTreeMap::new();
        let (mut traffic, mut refused) = (Vec::new(), Vec::new());
        for graph in all {
            traffic.extend(graph.traffic);
            // A pod is on one node: what it may not reach, one agent tells.
            refused.extend(graph.refused);
        }
        for one in traffic {
            let (source, service, destination, reporter) = one.key();
            let key = (
                source.clone(),
                service.to_owned(),
                destination.clone(),
                reporter,
            );
            match joined.get_mut(&key) {
                Some(found) => found.add(&one),
                None => drop(joined.insert(key, one)),
            }
        }
        Self {
            traffic: joined.into_values().collect(),
            refused,
        }
    }
}

impl Graph {
    /// Each thing once: of what both ends saw, who asked is heard, who knows more of it. Copies only who
    /// was asked knows of.
    #[must_use]
    pub fn once(&self) -> Self {
        let asked: BTreeSet<(&Node, &Node)> = self
            .traffic
            .iter()
            .filter(|one| one.reporter == Reporter::Source)
            .map(|one| (&one.source, &one.destination))
            .collect();
        let heard = self.traffic.iter().filter_map(|one| {
            let again = one.reporter == Reporter::Destination
                && asked.contains(&(&one.source, &one.destination));
            if !again {
                return Some(one.clone());
            }
            (one.copies > 0).then(|| one.only_copies())
        });
        Self {
            traffic: heard.collect(),
            refused: self.refused.clone(),
        }
    }
}

type KeyRef<'a> = (&'a Node, &'a str, &'a Node, Reporter);

impl Traffic {
    fn key(&self) -> KeyRef<'_> {
        (
            &self.source,
            &self.service,
            &self.destination,
            self.reporter,
        )
    }

    fn began_anew(&self, then: &Self) -> bool {
        self.connections_opened < then.connections_opened || self.requests < then.requests
    }

    fn since(&self, then: Option<&Self>) -> Self {
        let mut grown = self.clone();
        let Some(then) = then else { return grown };
        for (now, then) in grown.counts().into_iter().zip(then.clone().counts()) {
            *now = now.saturating_sub(*then);
        }
        grown.duration_ms = (self.duration_ms - then.duration_ms).max(0.0);
        grown
    }

    fn add(&mut self, other: &Self) {
        for (all, more) in self.counts().into_iter().zip(other.clone().counts()) {
            *all = all.saturating_add(*more);
        }
        self.duration_ms += other.duration_ms;
    }

    fn counts(&mut self) -> [&mut u64; 8] {
        [
            &mut self.connections_opened,
            &mut self.connections_closed,
            &mut self.sent_bytes,
            &mut self.received_bytes,
            &mut self.requests,
            &mut self.errors,
            &mut self.refused,
            &mut self.copies,
        ]
    }

    fn only_copies(&self) -> Self {
        let mut one = self.clone();
        for count in one.counts() {
            *count = 0;
        }
        one.duration_ms = 0.0;
        one.requests = self.copies;
        one.copies = self.copies;
        one
    }

    /// How often somebody was chosen: for connections that nobody looks into, and for requests. Copies
    /// have no part in it.
    pub fn choices(&self) -> u64 {
        let requests = self.requests.saturating_sub(self.copies);
        requests.saturating_add(self.connections_opened)
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
        reporter: edge.reporter,
        connections_opened: 0,
        connections_closed: 0,
        sent_bytes: 0,
        received_bytes: 0,
        requests: 0,
        errors: 0,
        refused: 0,
        copies: 0,
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
