//! What the commands read of an agent: the kernel's maps, and the files beside them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use steer_common::{
    Depth, Destination, Endpoint, Proto, Route,
    service::{CLASS_ANYONE, CLASS_OUTSIDE, ClassId, ROUTE_AUTO, ServiceKey, SplitId},
};

use super::{args::Instance, get::Held};
use crate::{
    control::{
        Kept, read_clusters, read_edge, read_kept, read_names, read_requests, read_status,
        read_taken,
    },
    desired::model::Cluster,
    image::{DestinationName, ServiceName, canary},
    kernel::{Maps, Pins, now_secs},
    live::Live,
    plan::Names,
    requests::{Listed, Shown},
};

/// What there is to be seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What the kernel holds.
    pub(super) live: Live,
    /// What its numbers mean.
    pub(super) names: Names,
    /// Clusters that no route leads to are only here.
    pub(super) clusters: Vec<Cluster>,
    /// The rules that look at requests, by split.
    pub(super) requests: BTreeMap<SplitId, Vec<Shown>>,
    /// How the weights of splits are kept that are neither of connections nor of requests for good.
    pub(super) kept: BTreeMap<SplitId, Kept>,
    /// How many requests each of them has taken.
    pub(super) taken: BTreeMap<SplitId, Vec<u64>>,
    /// What gateways serve.
    pub(super) edge: Vec<Listed>,
    /// What the agent says.
    pub(super) status: serde_json::Value,
    /// Connections of this node's pods, if they were looked for.
    pub(super) connections: Vec<Held>,
    /// The second of the monotonic clock at which it was read.
    pub(super) now_secs: u32,
}

impl Instance {
    /// The pins.
    pub(super) fn pins(&self) -> Pins {
        Pins::new(&self.pins)
    }

    /// Reads everything.
    pub(super) fn read(&self) -> anyhow::Result<Seen> {
        let live = Maps::open(&self.pins())?.read()?;
        let names = read_names(&self.state)
            .with_context(|| format!("reading the names in {}", self.state.display()))?;
        let clusters = read_clusters(&self.state)
            .with_context(|| format!("reading the clusters in {}", self.state.display()))?;
        let requests = read_requests(&self.state)
            .with_context(|| format!("reading the rules in {}", self.state.display()))?;
        let taken = read_taken(&self.state)
            .with_context(|| format!("reading the counts in {}", self.state.display()))?;
        let edge = read_edge(&self.state)
            .with_context(|| format!("reading what gateways serve in {}", self.state.display()))?;
        let kept = read_kept(&self.state)
            .with_context(|| format!("reading how weights are kept in {}", self.state.display()))?;
        Ok(Seen {
            live,
            names,
            clusters,
            requests,
            kept,
            taken,
            edge,
            status: self.status()?.unwrap_or_default(),
            connections: Vec::new(),
            now_secs: now_secs(),
        })
    }

    /// What the agent said last.
    pub(super) fn status(&self) -> anyhow::Result<Option<serde_json::Value>> {
        read_status(&self.state)
            .with_context(|| format!("reading the status in {}", self.state.display()))
    }
}

/// A route that is in force.
pub(super) struct InForce<'a> {
    /// What leads to it.
    pub(super) key: &'a ServiceKey,
    /// Its row.
    pub(super) route: &'a Route,
    /// Whose it is, if that is known.
    pub(super) service: Option<&'a ServiceName>,
}

impl Seen {
    /// The routes in force, by namespace, service, port and class.
    pub(super) fn routes(&self) -> Vec<InForce<'_>> {
        let mut routes: Vec<InForce<'_>> = self
            .live
            .services
            .iter()
            .filter_map(|(key, row)| {
                let route = self.live.routes.get(row)?;
                let service = self.names.services.get(&route.service).map(|name| &**name);
                let is_own = service.is_some_and(canary::is);
                (!is_own).then_some(InForce {
                    key,
                    route,
                    service,
                })
            })
            .collect();
        routes.sort_by_key(|found| {
            let name = found.service.map(|name| (&name.namespace, &name.name));
            (
                name,
                found.key.port,
                !found.key.addr.is_v4(),
                found.key.addr,
                found.key.proto,
                found.key.class,
            )
        });
        routes
    }

    /// How the weights of a route are kept, if that may change.
    pub(super) fn kept(&self, route: &Route) -> Option<&Kept> {
        let kept = self.kept.get(&route.split);
        kept.filter(|_| route.has(ROUTE_AUTO))
    }

    /// The destinations of a route.
    pub(super) fn destinations<'a>(
        &'a self,
        route: &'a Route,
    ) -> impl Iterator<Item = Reached<'a>> + 'a {
        let reached = |(placed, counter): (&'a Destination, u32)| {
            let name = self.names.destinations.get(&placed.subset);
            let connections = self.live.counters.get(&counter);
            Reached {
                name: name.map(|name| &**name),
                connections: connections.copied().unwrap_or_default(),
                placed,
            }
        };
        route
            .destinations()
            .iter()
            .zip(route.counters..)
            .map(reached)
    }

    /// The endpoints of a destination.
    pub(super) fn endpoints(&self, placed: &Destination) -> impl Iterator<Item = &Endpoint> {
        let rows = placed.first..placed.first.saturating_add(placed.count);
        rows.filter_map(|row| self.live.endpoints.get(&row))
    }

    /// The rules of a route that look at requests, if it does.
    pub(super) fn requests(&self, route: &Route) -> &[Shown] {
        let found = self.requests.get(&route.split);
        let found = found.filter(|_| route.depth() == Depth::Request);
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// How many requests a rule of a route has taken; the agent counts.
    pub(super) fn taken(&self, route: &Route, rule: usize) -> u64 {
        let counts = self.taken.get(&route.split);
        let count = counts.and_then(|counts| counts.get(rule));
        count.copied().unwrap_or_default()
    }

    /// Where copies of a route's requests go, if clients send directly.
    pub(super) fn copies(&self, route: &Route) -> impl Iterator<Item = &String> {
        let found = self.requests.get(&route.split);
        let found = found.filter(|_| route.depth() != Depth::Request);
        found.into_iter().flatten().flat_map(|rule| &rule.mirrors)
    }

    /// How many tickets the split of a route has given out.
    pub(super) fn tickets(&self, route: &Route) -> u64 {
        let given = self.live.tickets.get(&route.split);
        given.copied().unwrap_or_default()
    }

    /// What a class stands for.
    pub(super) fn class(&self, class: ClassId) -> String {
        if class == CLASS_ANYONE {
            return "*".to_owned();
        }
        if class == CLASS_OUTSIDE {
            return "outside".to_owned();
        }
        let text = self
            .status
            .get("classes")
            .and_then(|classes| classes.get(class.to_string()));
        text.and_then(serde_json::Value::as_str)
            .map_or_else(|| format!("class {class}"), str::to_owned)
    }
}

/// A destination of a route that is in force.
#[derive(Clone, Copy)]
pub(super) struct Reached<'a> {
    /// What it is called, if that is known.
    pub(super) name: Option<&'a DestinationName>,
    /// Connections since the weights of its route took effect.
    pub(super) connections: u64,
    /// Its weight and its rows.
    pub(super) placed: &'a Destination,
}

impl Reached<'_> {
    /// Its cluster, as Envoy names it.
    pub(super) fn cluster(&self) -> String {
        self.name
            .map_or_else(|| "?".to_owned(), DestinationName::cluster)
    }
}

/// The transport of a key.
pub(super) fn transport(key: &ServiceKey) -> Option<Proto> {
    Proto::from_number(u32::from(key.proto))
}
