//! Connections that are open: what was already counted of each.

use std::{collections::BTreeMap, net::SocketAddr};

use super::edge::Edge;

/// How many are followed. What is beyond is counted when it closes.
const MAX: usize = 131_072;

/// How often in a row a connection may be missing among those of its namespace until it counts as
/// closed: the record of its end was lost.
const MISSED_MAX: u8 = 2;

/// A connection, at one of its ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) namespace: u64,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// What the kernel says of a connection that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The cookie of its namespace.
    pub namespace: u64,
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Bytes that this end sent, and the other acknowledged.
    pub sent: u64,
    /// Bytes that came.
    pub received: u64,
}

/// What was counted of one.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub(super) edge: Edge,
    /// Whether this end is the server's.
    pub(super) accepted: bool,
    /// Bytes of this end that are counted.
    pub(super) sent: u64,
    pub(super) received: u64,
    missed: u8,
}

/// Bytes that are to be counted now: sent and received by this end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moved {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Followed {
    /// What is more than was counted.
    pub(super) fn advance(&mut self, sent: u64, received: u64) -> Moved {
        let moved = Moved {
            sent: sent.saturating_sub(self.sent),
            received: received.saturating_sub(self.received),
        };
        self.sent = self.sent.max(sent);
        self.received = self.received.max(received);
        moved
    }
}

/// All that are open.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    open: BTreeMap<Place, Followed>,
    /// Those that were open before anybody counted, and what had passed by then.
    before: Option<BTreeMap<Place, Moved>>,
}

impl Tracked {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Follows one that was opened. False if there are too many.
    pub(super) fn open(&mut self, place: Place, edge: Edge, accepted: bool) -> bool {
        if self.open.len() >= MAX {
            return false;
        }
        let fresh = Followed {
            edge,
            accepted,
            sent: 0,
            received: 0,
            missed: 0,
        };
        self.open.insert(place, fresh);
        true
    }

    /// One has closed: what was counted of it.
    pub(super) fn close(&mut self, place: &Place) -> Option<Followed> {
        self.open.remove(place)
    }

    /// What of one that closed had passed before anybody counted.
    pub(super) fn before(&mut self, place: &Place) -> Option<Moved> {
        self.before.as_mut()?.remove(place)
    }

    /// What the kernel says of one that is open.
    pub(super) fn sampled(&mut self, sample: &Sample, mut moved: impl FnMut(&Followed, Moved)) {
        let place = Place {
            namespace: sample.namespace,
            local: sample.local,
            remote: sample.remote,
        };
        if let Some(found) = self.open.get_mut(&place) {
            found.missed = 0;
            let more = found.advance(sample.sent, sample.received);
            moved(found, more);
        }
    }

    /// The first samples: those of connections that nobody told of were open before.
    pub(super) fn began(&mut self, samples: &[Sample]) {
        if self.before.is_some() {
            return;
        }
        let places = samples.iter().map(|sample| {
            let place = Place {
                namespace: sample.namespace,
                local: sample.local,
                remote: sample.remote,
            };
            let by_then = Moved {
                sent: sample.sent,
                received: sample.received,
            };
            (place, by_then)
        });
        let strange = places.filter(|(place, _)| !self.open.contains_key(place));
        self.before = Some(strange.take(MAX).collect());
    }

    /// Those of these namespaces that no sample named for a while; they are followed no longer.
    pub(super) fn missing(&mut self, is_sampled: impl Fn(u64) -> bool) -> Vec<Followed> {
        let mut gone = Vec::new();
        self.open.retain(|place, found| {
            if is_sampled(place.namespace) {
                found.missed += 1;
            }
            // A sample has just set it to nothing, which makes one.
            let stays = found.missed <= MISSED_MAX;
            if !stays {
                gone.push(found.clone());
            }
            stays
        });
        gone
    }
}
