//! Everything that is counted of traffic: what records and requests mean, and what is counted for each.

use std::{collections::HashMap, hash::Hash, net::SocketAddr, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use steer_common::{
    addr::{Addr, Peer},
    connection::{Connection, OBSERVE_ACCEPTED},
    service::SplitId,
};

use super::{
    directory::{Directory, Service},
    edge::{Asked, Edge, Protocol, Reporter},
    recent::Recent,
    refused::{Refusals, Target},
    store::{Placed, Slot, Store, Tcp},
    tracked::{Followed, Moved, Place, Tracked},
    workload::Workload,
};
use crate::{access_log::Flag, desired::model::PodRef};

/// Series that a node has at most.
pub const SERIES_MAX: usize = 20_000;

/// Series of pods that are gone stay for so long: five minutes, which every scrape sees.
const EXPIRE_NS: u64 = 300_000_000_000;
/// How often it is looked for those.
const EXPIRE_EVERY_NS: u64 = 10_000_000_000;

/// How many ways to series are remembered. Beyond, all are forgotten.
const KNOWN_MAX: usize = 65_536;

/// What is counted.
#[derive(Debug)]
pub struct Counted {
    directory: Directory,
    store: Store,
    tracked: Tracked,
    refusals: Refusals,
    known: Known,
    /// Connections of the proxy's, whose requests are counted.
    made: Recent,
    /// When it began, on the monotonic clock: what was opened before counts as that no more.
    began_ns: u64,
    expired_ns: u64,
}

/// Where series are, by what is told, so that none is looked for by all of its labels each time. Holds as
/// long as the directory, and all series.
#[derive(Debug, Default)]
struct Known {
    connections: HashMap<Way, Slot, RandomState>,
    requests: HashMap<Outcome, Answered, RandomState>,
}

/// All that decides the series of a connection that was steered, or accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Way {
    namespace: u64,
    split: SplitId,
    destination: u32,
    remote: Addr,
    /// What was accepted at.
    served: Option<Peer>,
}

/// A request that has ended: all that decides its series.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Outcome {
    /// Who asked.
    pub pod: Arc<PodRef>,
    /// Where it was sent, as Envoy's clusters are named.
    pub cluster: Option<Arc<str>>,
    /// What was dialled.
    pub dialled: SocketAddr,
    /// The endpoint that answered.
    pub upstream: Option<SocketAddr>,
    /// What went wrong, in Envoy's order.
    pub flags: Vec<Flag>,
    /// What it was, and its answer.
    pub asked: Asked,
}

/// How much there was of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// How long it took.
    pub duration: Duration,
    /// Bytes of its body.
    pub received: u64,
    /// Bytes of the answer's.
    pub sent: u64,
    /// Messages of gRPC in both.
    pub messages: [u64; 2],
}

/// The series of an outcome: those of who asked, and of who answered on this node.
#[derive(Clone, Copy, Debug)]
struct Answered {
    source: Slot,
    destination: Option<Slot>,
}

impl Default for Counted {
    fn default() -> Self {
        Self::new(SERIES_MAX, Recent::default(), 0)
    }
}

impl Counted {
    /// Nothing yet; at most so many series. Connections that are `made` are not counted where they are
    /// accepted.
    pub fn new(most: usize, made: Recent, began_ns: u64) -> Self {
        Self {
            directory: Directory::default(),
            store: Store::new(most),
            tracked: Tracked::default(),
            refusals: Refusals::default(),
            known: Known::default(),
            made,
            began_ns,
            expired_ns: began_ns,
        }
    }

    /// Something else is in force.
    pub fn follow(&mut self, directory: Directory) {
        self.directory = directory;
        self.known = Known::default();
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
        self.store.now(now_ns);
        if now_ns.saturating_sub(self.expired_ns) < EXPIRE_EVERY_NS {
            return;
        }
        self.expired_ns = now_ns;
        let directory = &self.directory;
        let is_there =
            |edge: &Edge| directory.has(&edge.source) && directory.has(&edge.destination);
        if self.store.expire(EXPIRE_NS, is_there) {
            self.known = Known::default();
        }
    }

    /// A connection has closed. `name` is what DNS last said of the other end, asked for if it matters.
    pub fn record(&mut self, record: &Connection, name: impl FnOnce() -> Option<String>) {
        let accepted = record.side == OBSERVE_ACCEPTED;
        if let Some(mut found) = self.tracked.close(&Place::of(record)) {
            let moved = found.advance(Moved::by(record));
            self.count_followed(&found, |tcp| {
                tcp.closed += 1;
                add(tcp, accepted, moved);
            });
            return;
        }
        if accepted && self.made.take(record.remote.to_socket_addr()) {
            return;
        }
        let Some(series) = self.series(record, name) else {
            return;
        };
        let is_new = record.opened_ns >= self.began_ns;
        let tcp = self.store.tcp_at(series);
        tcp.closed += 1;
        // How much had passed before anybody counted is not known.
        if is_new {
            tcp.opened += 1;
            add(tcp, accepted, Moved::by(record));
        }
    }

    /// Somebody begins to look at connections that are open, and tells what was `sampled` of them next.
    pub fn look(&mut self) {
        self.tracked.look();
    }

    /// Connections that are open, and their bytes: all of those of some namespaces that last.
    pub fn sampled(
        &mut self,
        samples: &[Connection],
        is_sampled: impl Fn(u64) -> bool,
        name: impl Fn(&Connection) -> Option<String>,
    ) {
        for sample in samples {
            let place = Place::of(sample);
            if !self.tracked.is_open(&place) {
                continue;
            }
            let Some(found) = self.tracked.seen(&place) else {
                self.opened(place, sample, &name);
                continue;
            };
            let moved = found.advance(Moved::by(sample));
            let found = found.clone();
            self.count_followed(&found, |tcp| add(tcp, found.accepted, moved));
        }
        // Those of a pod that is gone are, too.
        let directory = &self.directory;
        let is_known = |namespace| is_sampled(namespace) || directory.local(namespace).is_none();
        for gone in self.tracked.missing(is_known) {
            self.count_followed(&gone, |tcp| tcp.closed += 1);
        }
    }

    /// One that was not known of is open.
    fn opened(
        &mut self,
        place: Place,
        sample: &Connection,
        name: impl Fn(&Connection) -> Option<String>,
    ) {
        let accepted = sample.side == OBSERVE_ACCEPTED;
        let passed = Moved::by(sample);
        if accepted && self.made.take(sample.remote.to_socket_addr()) {
            self.tracked.open(place, None, accepted, passed);
            return;
        }
        let Some(edge) = self.edge(sample, || name(sample)) else {
            return;
        };
        self.tracked
            .open(place, Some(edge.clone()), accepted, passed);
        if sample.opened_ns >= self.began_ns {
            self.count(&edge, |tcp| {
                tcp.opened += 1;
                add(tcp, accepted, passed);
            });
        }
    }

    fn count_followed(&mut self, found: &Followed, count: impl FnOnce(&mut Tcp)) {
        if let Some(edge) = &found.edge {
            self.count(edge, count);
        }
    }

    /// The series of a connection. None if its pod is gone.
    fn series(
        &mut self,
        record: &Connection,
        name: impl FnOnce() -> Option<String>,
    ) -> Option<Slot> {
        let accepted = record.side == OBSERVE_ACCEPTED;
        let way = (accepted || record.is_steered()).then(|| Way {
            namespace: record.namespace,
            split: record.split,
            destination: record.destination,
            remote: record.remote.addr,
            served: accepted.then_some(record.local),
        });
        if let Some(&found) = way.and_then(|way| self.known.connections.get(&way)) {
            return Some(found);
        }
        let edge = self.edge(record, name)?;
        let Placed { slot, fits } = self.connection(&edge);
        if let Some(way) = way.filter(|_| fits) {
            remember(&mut self.known.connections, way, slot);
        }
        Some(slot)
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

    /// A request of a pod of this node has ended.
    pub fn request(&mut self, outcome: &Outcome, amount: &Amount) {
        let answered = match self.known.requests.get(outcome) {
            Some(&known) => known,
            None => self.answered(outcome),
        };
        for place in [Some(answered.source), answered.destination]
            .into_iter()
            .flatten()
        {
            let found = self.store.requests_at(place);
            found.duration.add(amount.duration.as_secs_f64() * 1_000.0);
            found.received.add(precise(amount.received));
            found.sent.add(precise(amount.sent));
            for (all, more) in found.messages.iter_mut().zip(amount.messages) {
                *all += more;
            }
        }
    }

    /// The series of an outcome that nobody has looked for yet.
    fn answered(&mut self, outcome: &Outcome) -> Answered {
        let directory = &self.directory;
        let service = match &outcome.cluster {
            Some(cluster) => directory.cluster(cluster),
            None => directory.dialled(outcome.dialled),
        };
        let edge = Edge {
            reporter: Reporter::Source,
            source: Arc::clone(directory.pod(&outcome.pod)),
            destination: Arc::clone(self.workload_at(outcome.upstream)),
            service: Arc::clone(service),
            flags: outcome.flags.clone(),
        };
        let here = outcome.upstream.is_some_and(|to| directory.is_own(to.ip()));
        let of_server = here.then(|| Edge {
            reporter: Reporter::Destination,
            flags: Vec::new(),
            ..edge.clone()
        });
        let destination = of_server.map(|edge| self.requests(edge, outcome.asked));
        let source = self.requests(edge, outcome.asked);
        let answered = Answered {
            source: source.slot,
            destination: destination.map(|placed| placed.slot),
        };
        if source.fits && destination.is_none_or(|placed| placed.fits) {
            remember(&mut self.known.requests, outcome.clone(), answered);
        }
        answered
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
        let placed = self.requests(edge, asked);
        let found = self.store.requests_at(placed.slot);
        found.duration.add_many(0.0, times);
        found.copies += times;
    }

    /// Whether a pod of this node has an address.
    pub fn is_own(&self, address: SocketAddr) -> bool {
        self.directory.is_own(address.ip())
    }

    fn workload_at(&self, address: Option<SocketAddr>) -> &Arc<Workload> {
        address.map_or(self.directory.unknown(), |at| self.directory.at(at.ip()))
    }

    /// Whose connection it is. None if the pod is gone.
    fn edge(&self, record: &Connection, name: impl FnOnce() -> Option<String>) -> Option<Edge> {
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
            directory.passed_through(remote, name().as_deref())
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
        let placed = self.connection(edge);
        count(self.store.tcp_at(placed.slot));
    }

    fn connection(&mut self, edge: &Edge) -> Placed {
        let directory = &self.directory;
        self.store
            .connection(edge, || strange(directory, edge.reporter))
    }

    fn requests(&mut self, edge: Edge, asked: Asked) -> Placed {
        let (directory, reporter) = (&self.directory, edge.reporter);
        self.store
            .request((edge, asked), || strange(directory, reporter))
    }
}

fn remember<K: Eq + Hash, V>(known: &mut HashMap<K, V, RandomState>, key: K, value: V) {
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.insert(key, value);
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

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes of one body stay below 2^52"
)]
fn precise(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests;
