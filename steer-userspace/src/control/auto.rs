//! `split: auto`: connections are split for as long as that keeps the weights for requests. Where
//! requests that are seen on their way stray from them, new connections go through the agent, which
//! splits requests, until clients open a connection for each of them.

mod file;
mod watch;

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Instant};

pub use file::{Kept, read_kept};
pub use watch::Bounds;
use watch::{By, Seen, Watch, Weighed};

use steer_common::service::{CLASS_ANYONE, ClassId, Depth, ServiceKey, SplitId};

use super::events::What;
use crate::{
    desired::{
        Desired,
        model::{Service, View},
    },
    image::{Destination, DestinationName},
    kernel::Requests,
    plan::{Layout, Placed},
    proxy::Used,
    telemetry,
};

pub(super) use file::NAME;

/// All routes that are split so.
#[derive(Debug, Default)]
pub(super) struct Auto {
    bounds: Bounds,
    watched: BTreeMap<RouteId, Watched>,
    /// What was written down last.
    written: Option<BTreeMap<SplitId, Kept>>,
}

/// A port of a service, as a class of clients sees it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct RouteId {
    host: String,
    port: u16,
    class: ClassId,
}

/// One of them: each address has a split of its own.
#[derive(Debug, Default)]
struct Watched {
    splits: BTreeMap<ServiceKey, Split>,
    /// None before anything was counted.
    watch: Option<Watch>,
    /// When it was decided what is split.
    decided: jiff::Timestamp,
}

#[derive(Debug)]
struct Split {
    id: SplitId,
    /// Its destinations, and since which generation they are these.
    names: Vec<Arc<DestinationName>>,
    since: u32,
    /// What is drawn, in the order of the destinations.
    weights: Vec<u32>,
}

impl Auto {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Looks at the requests of routes that stray.
    pub(super) fn deepen(&self, desired: &mut Desired) {
        for (id, found) in &self.watched {
            if found.by() == By::Connection {
                continue;
            }
            let mut services = desired.services.iter_mut();
            if let Some(service) = services.find(|service| service.host == id.host)
                && let Some(deeper) = deeper(service, id)
            {
                *service = Arc::new(deeper);
            }
        }
    }

    /// Follows the routes that are in force. Says whose requests are to be counted, each since which
    /// generation. `counted` is what the kernel has from an earlier agent.
    pub(super) fn follow(&mut self, layout: &Layout, counted: &Requests) -> BTreeMap<SplitId, u32> {
        let all = layout.placed().iter();
        let mut wanted: BTreeMap<RouteId, BTreeMap<ServiceKey, &Placed>> = BTreeMap::new();
        for (&key, placed) in all.filter(|(_, placed)| placed.route.auto) {
            let id = RouteId {
                host: placed.route.service.host.clone(),
                port: key.port.number(),
                class: key.class,
            };
            wanted.entry(id).or_default().insert(key, placed);
        }
        self.watched.retain(|id, _| wanted.contains_key(id));
        for (id, placed) in wanted {
            let found = self.watched.entry(id).or_default();
            let known = &mut found.splits;
            known.retain(|key, split| {
                placed
                    .get(key)
                    .is_some_and(|placed| placed.split == split.id)
            });
            for (key, placed) in placed {
                let split = known.entry(key).or_insert_with(|| {
                    // What another agent saw of it holds, as far as anybody knows.
                    let since = counted.get(&placed.split).map_or(0, |row| row.since);
                    Split::new(placed, since)
                });
                // What clients sent before went to other destinations.
                let same = split.names == Split::new(placed, 0).names;
                let since = if same {
                    split.since
                } else {
                    layout.generation()
                };
                *split = Split::new(placed, since);
            }
        }
        let splits = self
            .watched
            .values()
            .flat_map(|found| found.splits.values());
        splits.map(|split| (split.id, split.since)).collect()
    }

    /// Whether there are routes that were not followed before.
    pub(super) fn has_new(&self) -> bool {
        self.watched.values().any(|found| found.watch.is_none())
    }

    /// Begins to watch routes that were not followed before.
    pub(super) fn begin(
        &mut self,
        counted: &Requests,
        used: &BTreeMap<SplitId, Used>,
        now: Instant,
    ) {
        for found in self.watched.values_mut() {
            if found.watch.is_none() {
                found.watch = found.seen(counted, used).map(|seen| Watch::new(seen, now));
            }
        }
    }

    /// Takes what was counted until now; says what is split by something else from now on. `classes`
    /// are names of clients.
    pub(super) fn look(
        &mut self,
        counted: &Requests,
        used: &BTreeMap<SplitId, Used>,
        classes: &BTreeMap<ClassId, String>,
        now: Instant,
    ) -> Vec<What> {
        let mut changed = Vec::new();
        for (id, found) in &mut self.watched {
            let Some(seen) = found.seen(counted, used) else {
                continue;
            };
            let Some(watch) = &mut found.watch else {
                continue;
            };
            if watch.look(&self.bounds, seen, now) {
                found.decided = jiff::Timestamp::now();
                told(id, watch);
                changed.push(event(id, found.kept(), classes));
            }
        }
        changed
    }

    /// How weights are kept, for those who count.
    pub(super) fn kept(&self) -> BTreeMap<SplitId, telemetry::Kept> {
        let all = self.watched.values();
        all.flat_map(|found| {
            found
                .splits
                .values()
                .map(|split| (split.id, found.counted()))
        })
        .collect()
    }

    /// Whether there are none.
    pub(super) fn is_idle(&self) -> bool {
        self.watched.is_empty()
    }

    /// Writes down how weights are kept, if that differs from what was written last.
    pub(super) fn write(&mut self, state: &Path) -> io::Result<()> {
        let all = self.watched.values();
        let kept =
            all.flat_map(|found| found.splits.values().map(|split| (split.id, found.kept())));
        let kept = kept.collect();
        if self.written.as_ref() != Some(&kept) {
            file::write(state, &kept)?;
            self.written = Some(kept);
        }
        Ok(())
    }
}

impl Watched {
    fn by(&self) -> By {
        self.watch.as_ref().map_or(By::Connection, |watch| watch.by)
    }

    /// What was seen so far; none while some of its splits are not counted.
    fn seen(&self, counted: &Requests, used: &BTreeMap<SplitId, Used>) -> Option<Seen> {
        let mut seen = Seen::default();
        for split in self.splits.values() {
            let row = counted.get(&split.id);
            let row = row.filter(|row| row.since == split.since)?;
            seen.splits.push(Weighed {
                weights: split.weights.clone(),
                since: row.since,
            });
            let direct = row.requests.iter().copied().take(split.names.len());
            seen.direct.push(direct.collect());
            let used = used.get(&split.id).copied().unwrap_or_default();
            seen.connections += used.connections;
            seen.requests += used.requests;
        }
        Some(seen)
    }

    fn counted(&self) -> telemetry::Kept {
        let measured = self.watch.as_ref().and_then(|watch| watch.measured);
        telemetry::Kept {
            by_request: self.by() == By::Request,
            judged: measured.map(|found| (found.requests, rounded(found.points))),
        }
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
            points: measured.map(|found| rounded(found.points)),
            since: (self.decided != jiff::Timestamp::default()).then(|| self.decided.to_string()),
        }
    }
}

impl Split {
    fn new(placed: &Placed, since: u32) -> Self {
        let to = placed.route.destinations.iter();
        Self {
            id: placed.split,
            names: to.clone().map(|to| Arc::clone(&to.name)).collect(),
            since,
            weights: to.map(drawn).collect(),
        }
    }
}

/// One line for each change, for those who read the log.
fn told(id: &RouteId, watch: &Watch) {
    let RouteId { host, port, class } = id;
    if let (By::Request, Some(found)) = (watch.by, watch.measured) {
        tracing::info!(
            host,
            port,
            class,
            requests = found.requests,
            points = rounded(found.points),
            "shares of requests stray from the weights: on new connections, requests are split"
        );
    } else {
        tracing::info!(
            host,
            port,
            class,
            "clients keep no connections any more: connections are split"
        );
    }
}

/// The same, for those who listen.
fn event(id: &RouteId, kept: Kept, classes: &BTreeMap<ClassId, String>) -> What {
    let client = match classes.get(&id.class) {
        _ if id.class == CLASS_ANYONE => "*".to_owned(),
        Some(name) => name.clone(),
        None => format!("class {}", id.class),
    };
    What::SplitChanged {
        host: id.host.clone(),
        port: id.port,
        client,
        by: kept.by,
        requests: kept.requests,
        points: kept.points,
    }
}

fn rounded(points: f64) -> f64 {
    (points * 10.0).round() / 10.0
}

/// The weight that is drawn: what has no endpoint gets no request.
fn drawn(to: &Destination) -> u32 {
    if to.endpoints.is_empty() {
        0
    } else {
        to.name.weight
    }
}

/// The service with requests of this route looked at; none if it is not split so any more.
fn deeper(service: &Service, id: &RouteId) -> Option<Service> {
    let mut deeper = service.clone();
    let mut ports = deeper.ports.iter_mut();
    let port = ports.find(|port| port.number == id.port)?;
    match port.views.get_mut(&id.class)? {
        View::Route(route) if route.auto => route.depth = Depth::Request,
        _ => return None,
    }
    Some(deeper)
}
