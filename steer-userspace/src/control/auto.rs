//! `split: auto`: connections are split for as long as that keeps the weights for requests. Where
//! requests that are seen on their way stray from them, new connections go through the agent, which
//! splits requests, until clients open a connection for each of them.

mod file;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
    time::Instant,
};

pub use file::{Kept, read_kept};
pub use watch::Bounds;
use watch::{By, Seen, Watch};

use steer_common::service::{Depth, ServiceKey, SplitId};

use crate::{
    desired::{
        Desired,
        model::{Service, View},
    },
    image::{Destination, DestinationName, key},
    kernel::Requests,
    plan::{Layout, Placed},
    proxy::Used,
};

pub(super) use file::NAME;

/// All routes that are split so.
#[derive(Debug, Default)]
pub(super) struct Auto {
    bounds: Bounds,
    watched: BTreeMap<ServiceKey, Watched>,
    /// What was written down last.
    written: Option<BTreeMap<SplitId, Kept>>,
}

/// One of them.
#[derive(Debug)]
struct Watched {
    split: SplitId,
    /// Its destinations, and since which generation they are these.
    names: Vec<Arc<DestinationName>>,
    since: u32,
    /// What is drawn, in the order of the destinations.
    weights: Vec<u32>,
    /// None before anything was counted.
    watch: Option<Watch>,
    /// When it was decided what is split.
    decided: jiff::Timestamp,
}

impl Auto {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            watched: BTreeMap::new(),
            written: None,
        }
    }

    /// Looks at the requests of routes that stray.
    pub(super) fn deepen(&self, desired: &mut Desired) {
        let all = self.watched.iter();
        let strayed: BTreeSet<&ServiceKey> = all
            .filter(|(_, found)| found.by() == By::Request)
            .map(|(key, _)| key)
            .collect();
        if strayed.is_empty() {
            return;
        }
        for service in &mut desired.services {
            if let Some(deeper) = deeper(service, &strayed) {
                *service = Arc::new(deeper);
            }
        }
    }

    /// Follows the routes that are in force. Says whose requests are to be counted, each since which
    /// generation. `counted` is what the kernel has from an earlier agent.
    pub(super) fn follow(&mut self, layout: &Layout, counted: &Requests) -> BTreeMap<SplitId, u32> {
        let all = layout.placed().iter();
        let wanted: BTreeMap<&ServiceKey, &Placed> =
            all.filter(|(_, placed)| placed.route.auto).collect();
        self.watched.retain(|key, found| {
            wanted
                .get(key)
                .is_some_and(|placed| placed.split == found.split)
        });
        for (key, placed) in wanted {
            let names: Vec<_> = placed
                .route
                .destinations
                .iter()
                .map(|to| Arc::clone(&to.name))
                .collect();
            let found = self.watched.entry(*key).or_insert_with(|| {
                // What another agent saw of it holds, as far as anybody knows.
                let since = counted.get(&placed.split).map_or(0, |row| row.since);
                Watched::new(placed.split, names.clone(), since)
            });
            if found.names != names {
                // Its clients are as they were; what they sent before went to other destinations.
                found.names = names;
                found.since = layout.generation();
            }
            found.weights = placed.route.destinations.iter().map(drawn).collect();
        }
        let all = self.watched.values();
        all.map(|found| (found.split, found.since)).collect()
    }

    /// Takes what was counted until now; true if something else is split from now on.
    pub(super) fn look(
        &mut self,
        counted: &Requests,
        used: &BTreeMap<SplitId, Used>,
        now: Instant,
    ) -> bool {
        let mut changes = false;
        for (key, found) in &mut self.watched {
            let Some(row) = counted.get(&found.split) else {
                continue;
            };
            let used = used.get(&found.split).copied().unwrap_or_default();
            let seen = Seen {
                direct: row
                    .requests
                    .iter()
                    .copied()
                    .take(found.weights.len())
                    .collect(),
                connections: used.connections,
                requests: used.requests,
            };
            let Some(watch) = &mut found.watch else {
                found.watch = Some(Watch::new(seen, now));
                continue;
            };
            if watch.look(&self.bounds, &found.weights, seen, now) {
                found.decided = jiff::Timestamp::now();
                changes = true;
                told(key, watch);
            }
        }
        changes
    }

    /// Whether there are none.
    pub(super) fn is_idle(&self) -> bool {
        self.watched.is_empty()
    }

    /// Writes down how weights are kept, if that differs from what was written last.
    pub(super) fn write(&mut self, state: &Path) -> io::Result<()> {
        let all = self.watched.values();
        let kept = all.map(|found| (found.split, found.kept())).collect();
        if self.written.as_ref() != Some(&kept) {
            file::write(state, &kept)?;
            self.written = Some(kept);
        }
        Ok(())
    }
}

impl Watched {
    fn new(split: SplitId, names: Vec<Arc<DestinationName>>, since: u32) -> Self {
        Self {
            split,
            names,
            since,
            weights: Vec::new(),
            watch: None,
            decided: jiff::Timestamp::now(),
        }
    }

    fn by(&self) -> By {
        self.watch.as_ref().map_or(By::Connection, |watch| watch.by)
    }

    fn kept(&self) -> Kept {
        let measured = self.watch.as_ref().and_then(|watch| watch.measured);
        Kept {
            by: match self.by() {
                By::Connection => "connection",
                By::Request => "request",
            }
            .to_owned(),
            requests: measured.map(|found| found.requests),
            points: measured.map(|found| (found.points * 10.0).round() / 10.0),
            since: self.decided.to_string(),
        }
    }
}

/// One line for each change, for those who read the log.
fn told(key: &ServiceKey, watch: &Watch) {
    let service = steer_common::addr::Peer::new(key.addr, key.port).to_string();
    let measured = watch.measured.unwrap_or(watch::Measured {
        requests: 0,
        points: 0.0,
    });
    match watch.by {
        By::Request => tracing::info!(
            service,
            class = key.class,
            requests = measured.requests,
            points = (measured.points * 10.0).round() / 10.0,
            "shares of requests stray from the weights: requests of new connections are split"
        ),
        By::Connection => tracing::info!(
            service,
            class = key.class,
            "clients keep no connections any more: connections are split"
        ),
    }
}

/// The weight that is drawn: what has no endpoint gets no request.
fn drawn(to: &Destination) -> u32 {
    if to.endpoints.is_empty() {
        0
    } else {
        to.name.weight
    }
}

/// The service with these of its routes looked at; none if it has none of them.
fn deeper(service: &Arc<Service>, strayed: &BTreeSet<&ServiceKey>) -> Option<Service> {
    let mut deeper: Option<Service> = None;
    for (index, port) in service.ports.iter().enumerate() {
        for (&class, view) in &port.views {
            let keys = service
                .addresses
                .iter()
                .map(|&address| key(class, address, port));
            let strays = keys.into_iter().any(|key| strayed.contains(&key));
            if strays && matches!(view, View::Route(route) if route.auto) {
                let own = deeper.get_or_insert_with(|| Service::clone(service));
                if let Some(View::Route(route)) = own.ports[index].views.get_mut(&class) {
                    route.depth = Depth::Request;
                }
            }
        }
    }
    deeper
}
