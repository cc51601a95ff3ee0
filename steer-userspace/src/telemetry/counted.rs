//! Everything that is counted of traffic: what records and requests mean, and what is counted for each.

use std::{net::SocketAddr, sync::Arc};

use steer_common::connection::{Connection, OBSERVE_ACCEPTED};

use super::{
    directory::{Directory, Service},
    edge::{Asked, Edge, Protocol, Reporter},
    refused::{Refusals, Target},
    store::{Requests, Store, Tcp},
    tracked::{Moved, Place, Sample, Tracked},
    workload::Workload,
};
use crate::{
    access_log::{Entry, Flag},
    desired::model::PodRef,
};

/// Series that a node has at most.
pub(super) const SERIES_MAX: usize = 20_000;

/// Series of pods that are gone stay for so long: five minutes, which every scrape sees.
const EXPIRE_NS: u64 = 300_000_000_000;

/// What is counted.
#[derive(Debug)]
pub struct Counted {
    directory: Directory,
    store: Store,
    tracked: Tracked,
    refusals: Refusals,
}

impl Default for Counted {
    fn default() -> Self {
        Self::new(SERIES_MAX)
    }
}

impl Counted {
    /// Nothing yet; at most so many series.
    pub fn new(most: usize) -> Self {
        Self {
            directory: Directory::default(),
            store: Store::new(most),
            tracked: Tracked::default(),
            refusals: Refusals::default(),
        }
    }

    /// Something else is in force.
    pub fn follow(&mut self, directory: Directory) {
        self.directory = directory;
    }

    /// The series.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many connections are followed.
    pub fn open(&self) -> usize {
        self.tracked.len()
    }

    /// It is so late. Series of pods that are gone go as well.
    pub fn tick(&mut self, now_ns: u64) {
        let directory = &self.directory;
        self.store.now(now_ns);
        self.store.expire(EXPIRE_NS, |edge| {
            directory.has(&edge.source) && directory.has(&edge.destination)
        });
    }

    /// A record of the kernel: a connection was opened, or has closed. `name` is what DNS last said of the
    /// other end.
    pub fn record(&mut self, record: &Connection, name: Option<&str>) {
        let accepted = record.side == OBSERVE_ACCEPTED;
        let place = Place {
            namespace: record.namespace,
            local: record.local.to_socket_addr(),
            remote: record.remote.to_socket_addr(),
        };
        if !record.has_closed() {
            if let Some(edge) = self.edge(record, name)
                && self.tracked.open(place, edge.clone(), accepted)
            {
                self.count(&edge, |tcp| tcp.opened += 1);
            }
            return;
        }
        if let Some(mut found) = self.tracked.close(&place) {
            let moved = found.advance(record.sent, record.received);
            self.count(&found.edge, |tcp| {
                tcp.closed += 1;
                add(tcp, accepted, moved);
            });
            return;
        }
        let Some(edge) = self.edge(record, name) else {
            return;
        };
        let before = self.tracked.before(&place);
        let (was_open, by_then) = before.map_or(
            (
                0,
                Moved {
                    sent: 0,
                    received: 0,
                },
            ),
            |by| (1, by),
        );
        let moved = Moved {
            sent: record.sent.saturating_sub(by_then.sent),
            received: record.received.saturating_sub(by_then.received),
        };
        self.count(&edge, |tcp| {
            tcp.opened += 1 - was_open;
            tcp.closed += 1;
            add(tcp, accepted, moved);
        });
    }

    /// Bytes of connections that are open, of all connections of some namespaces.
    pub fn sampled(&mut self, samples: &[Sample], is_sampled: impl Fn(u64) -> bool) {
        let Self {
            store,
            tracked,
            directory,
            refusals: _,
        } = self;
        tracked.began(samples);
        // Those of a pod that is gone are, too.
        let is_known = |namespace| is_sampled(namespace) || directory.local(namespace).is_none();
        for gone in tracked.missing(is_known) {
            let strange = || strange(directory, gone.edge.reporter);
            store.connection(&gone.edge, strange, |tcp| tcp.closed += 1);
        }
        for sample in samples {
            tracked.sampled(sample, |found, moved| {
                let strange = || strange(directory, found.edge.reporter);
                store.connection(&found.edge, strange, |tcp| add(tcp, found.accepted, moved));
            });
        }
    }

    /// What was refused.
    pub fn refusals(&self) -> impl Iterator<Item = (&Workload, &Target, u64)> {
        self.refusals.iter()
    }

    /// A connection that was refused.
    pub fn refused(&mut self, pod: Option<&PodRef>, target: Target) {
        let directory = &self.directory;
        let source = pod.map_or(directory.unknown(), |pod| directory.pod(pod));
        self.refusals.count(source, target);
        let edge = Edge {
            reporter: Reporter::Source,
            source: Arc::clone(source),
            destination: Arc::clone(directory.unknown()),
            service: Arc::clone(directory.black_hole()),
            flags: vec![Flag::NoHealthyUpstream],
        };
        self.count(&edge, |tcp| {
            tcp.opened += 1;
            tcp.closed += 1;
        });
    }

    /// A request of a pod of this node has ended. True if a pod of this node answered it.
    pub fn request(&mut self, entry: &Entry) -> bool {
        let Some(request) = &entry.request else {
            return false;
        };
        let directory = &self.directory;
        let answered = entry.service_time.is_some();
        let upstream = entry.upstream.filter(|_| answered);
        let service = match (&entry.cluster, entry.dialled) {
            (Some(cluster), _) => directory.cluster(cluster),
            (None, Some(dialled)) => directory.dialled(dialled),
            (None, None) => directory.nothing(),
        };
        let edge = Edge {
            reporter: Reporter::Source,
            source: Arc::clone(directory.pod(&entry.pod)),
            destination: Arc::clone(self.workload_at(upstream)),
            service: Arc::clone(service),
            flags: entry.flags.clone(),
        };
        let asked = asked(request, entry.status);
        let here = upstream.is_some_and(|to| directory.is_own(to.ip()));
        let count = |found: &mut Requests| {
            found.duration.add(entry.duration.as_secs_f64() * 1_000.0);
            found.received.add(precise(entry.received));
            found.sent.add(precise(entry.sent));
        };
        if here {
            let of_server = Edge {
                reporter: Reporter::Destination,
                flags: Vec::new(),
                ..edge.clone()
            };
            self.count_request(of_server, asked, count);
        }
        self.count_request(edge, asked, count);
        here
    }

    /// Copies of requests were answered, so many alike: who is copied to knows, who was copied does not.
    pub fn copied(
        &mut self,
        client: u64,
        to: SocketAddr,
        protocol: Protocol,
        code: u16,
        times: u64,
    ) {
        let directory = &self.directory;
        let edge = Edge {
            reporter: Reporter::Destination,
            source: Arc::clone(directory.local(client).unwrap_or(directory.unknown())),
            destination: Arc::clone(directory.at(to.ip())),
            service: Arc::clone(directory.served_at(to)),
            flags: Vec::new(),
        };
        let asked = Asked {
            protocol,
            code,
            grpc: None,
        };
        // How long it took is nobody's concern.
        self.count_request(edge, asked, |found| {
            found.duration.add_many(0.0, times);
            found.copies += times;
        });
    }

    /// Whether a pod of this node has an address.
    pub fn is_own(&self, address: SocketAddr) -> bool {
        self.directory.is_own(address.ip())
    }

    fn workload_at(&self, address: Option<SocketAddr>) -> &Arc<Workload> {
        address.map_or(self.directory.unknown(), |at| self.directory.at(at.ip()))
    }

    /// Whose connection it is. None if the pod is gone.
    fn edge(&self, record: &Connection, name: Option<&str>) -> Option<Edge> {
        let directory = &self.directory;
        let own = Arc::clone(directory.local(record.namespace)?);
        let remote = record.remote.to_socket_addr();
        if record.side == OBSERVE_ACCEPTED {
            return Some(Edge {
                reporter: Reporter::Destination,
                source: Arc::clone(directory.at(remote.ip())),
                destination: own,
                service: Arc::clone(directory.served_at(record.local.to_socket_addr())),
                flags: Vec::new(),
            });
        }
        let service: &Arc<Service> = if record.is_steered() {
            directory.destination(record.split, record.destination)
        } else {
            directory.passed_through(remote, name)
        };
        let is_named = record.is_steered() || service.host != super::workload::UNKNOWN;
        let destination = if is_named {
            directory.at(remote.ip())
        } else {
            directory.unknown()
        };
        Some(Edge {
            reporter: Reporter::Source,
            source: own,
            destination: Arc::clone(destination),
            service: Arc::clone(service),
            flags: Vec::new(),
        })
    }

    fn count(&mut self, edge: &Edge, count: impl FnOnce(&mut Tcp)) {
        let (directory, reporter) = (&self.directory, edge.reporter);
        let strange = || strange(directory, reporter);
        self.store.connection(edge, strange, count);
    }

    fn count_request(&mut self, edge: Edge, asked: Asked, count: impl FnOnce(&mut Requests)) {
        let (directory, reporter) = (&self.directory, edge.reporter);
        let strange = || strange(directory, reporter);
        self.store.request((edge, asked), strange, count);
    }
}

/// The series of what does not fit.
fn strange(directory: &Directory, reporter: Reporter) -> Edge {
    Edge {
        reporter,
        source: Arc::clone(directory.unknown()),
        destination: Arc::clone(directory.unknown()),
        service: Arc::clone(directory.nothing()),
        flags: Vec::new(),
    }
}

/// Adds bytes of an end: metrics have them as the server sees them.
fn add(tcp: &mut Tcp, accepted: bool, moved: Moved) {
    let (sent, received) = if accepted {
        (moved.sent, moved.received)
    } else {
        (moved.received, moved.sent)
    };
    tcp.sent += sent;
    tcp.received += received;
}

fn asked(request: &crate::access_log::Request, code: u16) -> Asked {
    let protocol = Protocol::of(&request.headers);
    let grpc = request.answer.get("grpc-status");
    let grpc = grpc.filter(|_| protocol == Protocol::Grpc);
    Asked {
        protocol,
        code,
        grpc: grpc.and_then(|status| status.to_str().ok()?.parse().ok()),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes of one body stay below 2^52"
)]
fn precise(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests;
