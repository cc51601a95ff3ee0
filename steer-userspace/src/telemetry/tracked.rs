//! Connections that are open: what was already counted of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use steer_common::connection::Connection;

use super::edge::Edge;

/// How often in a row a connection may be missing among those of its namespace until it counts as
/// closed, and once more: the record of its end was lost.
const MISSED_MAX: u8 = 3;

/// A connection, at one of its ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    namespace: u64,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Place {
    pub(super) fn of(record: &Connection) -> Self {
        Self {
            namespace: record.namespace,
            local: record.local.to_socket_addr(),
            remote: record.remote.to_socket_addr(),
        }
    }
}

/// What was counted of one.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    /// None if nothing is to be: its requests are counted.
    pub(super) edge: Option<Edge>,
    /// Whether this end is the server's.
    pub(super) accepted: bool,
    /// Bytes of this end that are counted.
    passed: Moved,
    missed: u8,
}

/// Bytes sent and received by this end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Moved {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Moved {
    /// All that a record tells of.
    pub(super) fn by(record: &Connection) -> Self {
        Self {
            sent: record.sent,
            received: record.received,
        }
    }
}

impl Followed {
    /// What is more than was counted.
    pub(super) fn advance(&mut self, to: Moved) -> Moved {
        let moved = Moved {
            sent: to.sent.saturating_sub(self.passed.sent),
            received: to.received.saturating_sub(self.passed.received),
        };
        self.passed = Moved {
            sent: to.sent.max(self.passed.sent),
            received: to.received.max(self.passed.received),
        };
        moved
    }
}

/// All that are open, as far as anybody has looked.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    open: BTreeMap<Place, Followed>,
    /// Those that have closed since somebody began to look.
    closed: Option<BTreeSet<Place>>,
}

impl Tracked {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Somebody begins to look at what is open.
    pub(super) fn look(&mut self) {
        self.closed = Some(BTreeSet::new());
    }

    /// What was seen of one counts if it has not closed meanwhile: the record of its end was then read
    /// before, and says all.
    pub(super) fn is_open(&self, place: &Place) -> bool {
        let closed = self.closed.as_ref();
        !closed.is_some_and(|closed| closed.contains(place))
    }

    /// One that was seen.
    pub(super) fn seen(&mut self, place: &Place) -> Option<&mut Followed> {
        let found = self.open.get_mut(place)?;
        found.missed = 0;
        Some(found)
    }

    /// Follows one of which so much has been counted.
    pub(super) fn open(&mut self, place: Place, edge: Option<Edge>, accepted: bool, passed: Moved) {
        let fresh = Followed {
            edge,
            accepted,
            passed,
            missed: 0,
        };
        self.open.insert(place, fresh);
    }

    /// One has closed: what was counted of it.
    pub(super) fn close(&mut self, place: &Place) -> Option<Followed> {
        if let Some(closed) = &mut self.closed {
            closed.insert(*place);
        }
        self.open.remove(place)
    }

    /// Nobody looks any more. Those of these namespaces that nobody saw for a while are followed no longer.
    pub(super) fn missing(&mut self, is_sampled: impl Fn(u64) -> bool) -> Vec<Followed> {
        self.closed = None;
        let mut gone = Vec::new();
        self.open.retain(|place, found| {
            if is_sampled(place.namespace) {
                found.missed += 1;
            }
            // Having been seen makes one.
            let stays = found.missed <= MISSED_MAX;
            if !stays {
                gone.push(found.clone());
            }
            stays
        });
        gone
    }
}
