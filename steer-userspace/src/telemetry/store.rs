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
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            duration: Histogram::new(MILLISECONDS),
            received: Histogram::new(BYTES),
            sent: Histogram::new(BYTES),
            copies: 0,
        }
    }
}

/// A counter, and when it last counted.
#[derive(Clone, Debug)]
struct Touched<T> {
    value: T,
    /// The nanosecond of the monotonic clock.
    at_ns: u64,
}

/// All series.
#[derive(Clone, Debug)]
pub struct Store {
    most: usize,
    now_ns: u64,
    tcp: BTreeMap<Edge, Touched<Tcp>>,
    requests: BTreeMap<(Edge, Asked), Touched<Requests>>,
    /// What did not fit, and was counted with unknown labels.
    overflowed: u64,
}

impl Store {
    /// None yet, and at most so many.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            now_ns: 0,
            tcp: BTreeMap::new(),
            requests: BTreeMap::new(),
            overflowed: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tcp.len() + self.requests.len()
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
        self.tcp.iter().map(|(edge, found)| (edge, &found.value))
    }

    /// Series of requests.
    pub fn requests(&self) -> impl Iterator<Item = (&Edge, Asked, &Requests)> {
        let all = self.requests.iter();
        all.map(|((edge, asked), found)| (edge, *asked, &found.value))
    }

    /// Counts something of connections; `strange` is the series for what does not fit.
    pub(super) fn connection(
        &mut self,
        edge: &Edge,
        strange: impl FnOnce() -> Edge,
        count: impl FnOnce(&mut Tcp),
    ) {
        if let Some(found) = self.tcp.get_mut(edge) {
            found.at_ns = self.now_ns;
            count(&mut found.value);
            return;
        }
        let key = if self.len() < self.most {
            edge.clone()
        } else {
            self.overflowed += 1;
            strange()
        };
        let found = self.tcp.entry(key).or_insert(Touched {
            value: Tcp::default(),
            at_ns: 0,
        });
        found.at_ns = self.now_ns;
        count(&mut found.value);
    }

    /// Counts something of requests; `strange` is the series for what does not fit.
    pub(super) fn request(
        &mut self,
        key: (Edge, Asked),
        strange: impl FnOnce() -> Edge,
        count: impl FnOnce(&mut Requests),
    ) {
        if let Some(found) = self.requests.get_mut(&key) {
            found.at_ns = self.now_ns;
            count(&mut found.value);
            return;
        }
        let key = if self.len() < self.most {
            key
        } else {
            self.overflowed += 1;
            let asked = Asked {
                code: 0,
                grpc: None,
                ..key.1
            };
            (strange(), asked)
        };
        let found = self.requests.entry(key).or_insert_with(|| Touched {
            value: Requests::default(),
            at_ns: 0,
        });
        found.at_ns = self.now_ns;
        count(&mut found.value);
    }

    /// It is so late.
    pub(super) fn now(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Lets go of series that have counted nothing for so long and whose ends are not there any more.
    pub(super) fn expire(&mut self, after_ns: u64, is_there: impl Fn(&Edge) -> bool) {
        let now_ns = self.now_ns;
        let stays =
            |edge: &Edge, at_ns: u64| now_ns.saturating_sub(at_ns) < after_ns || is_there(edge);
        self.tcp.retain(|edge, found| stays(edge, found.at_ns));
        self.requests
            .retain(|(edge, _), found| stays(edge, found.at_ns));
    }
}
