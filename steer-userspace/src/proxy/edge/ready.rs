//! What the configuration wants of the node's ports, with the counters of its rules.

use std::{collections::BTreeMap, sync::Arc};

use rustls::ServerConfig;

use super::super::{
    note::Logs,
    table::{self, Counters, Tickets},
};
use crate::{
    certificates::Ending,
    requests::{self, ByName, Entrance},
};

/// What requests over TLS may speak.
const OF_REQUESTS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// All ports.
#[derive(Default)]
pub(super) struct Ports {
    ready: BTreeMap<u16, Arc<Ready>>,
    counters: Counters<Whose>,
    /// Whose requests have a line written.
    pub(super) logs: Option<Arc<Logs>>,
}

/// A port, and the host of it; none for bytes.
type Whose = (u16, String);

/// What comes in at a port.
pub(super) enum Ready {
    Requests(Site),
    Names(ByName<Inside>),
    Bytes(Option<Counted>),
}

pub(super) type Site = ByName<Arc<table::Ready>>;

/// What becomes of TLS.
#[derive(Clone)]
pub(super) enum Inside {
    Passed(Counted),
    Requests(Option<Arc<ServerConfig>>, Site),
    Bytes(Option<Arc<ServerConfig>>, Option<Counted>),
}

/// A rule for bytes, and how many connections it has taken.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) rule: requests::Stream,
    pub(super) tickets: Arc<Tickets>,
}

impl Ports {
    /// The ports that follow these.
    pub(super) fn next(&self, wanted: &BTreeMap<u16, Entrance>) -> Self {
        let mut next = Counting {
            port: 0,
            before: &self.counters,
            counters: Counters::default(),
        };
        let mut ready = BTreeMap::new();
        for (&port, entrance) in wanted {
            next.port = port;
            ready.insert(port, Arc::new(next.entrance(entrance)));
        }
        Self {
            ready,
            counters: next.counters,
            logs: None,
        }
    }

    /// Which there are.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> {
        self.ready.keys().copied()
    }

    /// What one of them is for.
    pub(super) fn of(&self, port: u16) -> Option<Arc<Ready>> {
        self.ready.get(&port).cloned()
    }
}

/// Gives rules their counters.
struct Counting<'c> {
    port: u16,
    before: &'c Counters<Whose>,
    counters: Counters<Whose>,
}

impl Counting<'_> {
    fn entrance(&mut self, wanted: &Entrance) -> Ready {
        match wanted {
            Entrance::Requests(site) => Ready::Requests(self.site(site)),
            Entrance::Bytes(rule) => Ready::Bytes(rule.as_ref().map(|rule| self.counted(rule))),
            Entrance::Names(names) => Ready::Names(names.map(|_, inside| self.inside(inside))),
        }
    }

    fn inside(&mut self, wanted: &requests::Inside) -> Inside {
        match wanted {
            requests::Inside::Passed(rule) => Inside::Passed(self.counted(rule)),
            requests::Inside::Requests(ending, site) => {
                Inside::Requests(server(ending.as_ref(), &OF_REQUESTS), self.site(site))
            }
            requests::Inside::Bytes(ending, rule) => {
                let rule = rule.as_ref().map(|rule| self.counted(rule));
                Inside::Bytes(server(ending.as_ref(), &[]), rule)
            }
        }
    }

    fn site(&mut self, site: &requests::Site) -> Site {
        site.map(|host, route| {
            let whose = (self.port, host.to_owned());
            let ready = table::Ready::new(host.to_owned(), Arc::clone(route), |rule| {
                self.counters.of(self.before, &whose, rule)
            });
            Arc::new(ready)
        })
    }

    fn counted(&mut self, rule: &requests::Stream) -> Counted {
        let whose = (self.port, String::new());
        Counted {
            rule: rule.clone(),
            tickets: self.counters.of(self.before, &whose, &rule.origin),
        }
    }
}

fn server(ending: Option<&Ending>, protocols: &[&[u8]]) -> Option<Arc<ServerConfig>> {
    ending.map(|ending| ending.speaking(protocols))
}
