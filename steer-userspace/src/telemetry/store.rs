//! The counters, by series: bounded, and let go when those that they are of are gone.

use std::collections::BTreeMap;

use super::{
    edge::{Asked, Edge},
    histogram::{BYTES, Histogram, MILLISECONDS},
};

/// What was counted of connections. Bytes are those that servers sent and received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tcp {
    /// How many were opened.
    pub opened: u64,
    /// How many were closed.
    pub closed: u64,
    /// Bytes that the server sent.
    pub sent: u64,
    /// Bytes that it received.
    pub received: u64,
}

/// What was counted of requests.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Requests {
    /// How many there were, and how long they took.
    pub duration: Histogram,
    /// Bytes of their bodies.
    pub received: Histogram,
    /// Bytes of the answers' bodies.
    pub sent: Histogram,
    /// How many of them were copies.
    pub copies: u64,
    /// Messages of gRPC that clients sent, and that servers did.
    pub messages: [u64; 2],
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            duration: Histogram::new(MILLISECONDS),
            received: Histogram::new(BYTES),
            sent: Histogram::new(BYTES),
            copies: 0,
            messages: [0; 2],
        }
    }
}

/// A counter, and when it last counted.
#[derive(Clone, Debug, Default)]
struct Touched<T> {
    value: T,
    /// The nanosecond of the monotonic clock.
    at_ns: u64,
}

/// Where the counters of a series are, until some are let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot(usize);

/// Where something is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    pub(super) slot: Slot,
    /// Whether it has a series of its own: there may be too many.
    pub(super) fits: bool,
}

/// Series of one kind. Whoever knows the place of one need not look for it by its labels.
#[derive(Clone, Debug)]
struct Series<K, V> {
    places: BTreeMap<K, Slot>,
    counters: Vec<Touched<V>>,
}

impl<K: Ord, V: Default> Series<K, V> {
    const fn new() -> Self {
        Self {
            places: BTreeMap::new(),
            counters: Vec::new(),
        }
    }

    /// The place of one that there may not be yet.
    fn slot(&mut self, key: K) -> Slot {
        *self.places.entry(key).or_insert_with(|| {
            self.counters.push(Touched::default());
            Slot(self.counters.len() - 1)
        })
    }

    fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let all = self.places.iter();
        all.map(|(key, place)| (key, &self.counters[place.0].value))
    }

    fn count(&mut self, place: Slot, now_ns: u64) -> &mut V {
        let found = &mut self.counters[place.0];
        found.at_ns = now_ns;
        &mut found.value
    }

    /// Keeps those; the others' places are gone, and so may be those of the ones that stay.
    fn keep(&mut self, stays: impl Fn(&K, u64) -> bool) -> bool {
        let before = self.places.len();
        let counters = &self.counters;
        self.places
            .retain(|key, place| stays(key, counters[place.0].at_ns));
        if self.places.len() == before {
            return false;
        }
        let mut kept = Vec::with_capacity(self.places.len());
        for place in self.places.values_mut() {
            kept.push(std::mem::take(&mut self.counters[place.0]));
            *place = Slot(kept.len() - 1);
        }
        self.counters = kept;
        true
    }
}

/// All series.
#[derive(Clone, Debug)]
pub struct Store {
    most: usize,
    now_ns: u64,
    tcp: Series<Edge, Tcp>,
    requests: Series<(Edge, Asked), Requests>,
    /// What did not fit, and was counted with unknown labels.
    overflowed: u64,
}

impl Store {
    /// None yet, and at most so many.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            now_ns: 0,
            tcp: Series::new(),
            requests: Series::new(),
            overflowed: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tcp.places.len() + self.requests.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often something did not fit.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Series of connections.
    pub fn tcp(&self) -> impl Iterator<Item = (&Edge, &Tcp)> {
        self.tcp.iter()
    }

    /// Series of requests.
    pub fn requests(&self) -> impl Iterator<Item = (&Edge, Asked, &Requests)> {
        let all = self.requests.iter();
        all.map(|((edge, asked), found)| (edge, *asked, found))
    }

    /// The place of a series of connections; of `strange`, if there are too many.
    pub(super) fn connection(&mut self, edge: &Edge, strange: impl FnOnce() -> Edge) -> Placed {
        let found = self.tcp.places.get(edge).copied();
        let fits = found.is_some() || self.len() < self.most;
        let slot = match found {
            Some(found) => found,
            None if fits => self.tcp.slot(edge.clone()),
            None => self.tcp.slot(strange()),
        };
        self.overflowed += u64::from(!fits);
        Placed { slot, fits }
    }

    /// What is counted at such a place, which counts something now.
    pub(super) fn tcp_at(&mut self, place: Slot) -> &mut Tcp {
        self.tcp.count(place, self.now_ns)
    }

    /// The place of a series of requests; of `strange`, if there are too many.
    pub(super) fn request(&mut self, key: (Edge, Asked), strange: impl FnOnce() -> Edge) -> Placed {
        let found = self.requests.places.get(&key).copied();
        let fits = found.is_some() || self.len() < self.most;
        let slot = match found {
            Some(found) => found,
            None if fits => self.requests.slot(key),
            None => {
                let asked = Asked {
                    code: 0,
                    grpc: None,
                    ..key.1
                };
                self.requests.slot((strange(), asked))
            }
        };
        self.overflowed += u64::from(!fits);
        Placed { slot, fits }
    }

    /// What is counted at such a place, which counts something now.
    pub(super) fn requests_at(&mut self, place: Slot) -> &mut Requests {
        self.requests.count(place, self.now_ns)
    }

    /// It is so late.
    pub(super) fn now(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Lets go of series that have counted nothing for so long and whose ends are not there any more.
    /// True if there were any: places that were known are not those of the same series any more.
    pub(super) fn expire(&mut self, after_ns: u64, is_there: impl Fn(&Edge) -> bool) -> bool {
        let now_ns = self.now_ns;
        let stays =
            |edge: &Edge, at_ns: u64| now_ns.saturating_sub(at_ns) < after_ns || is_there(edge);
        let fewer = self.tcp.keep(stays);
        self.requests.keep(|(edge, _), at_ns| stays(edge, at_ns)) || fewer
    }
}
