//! What the commands read of an agent: the kernel's maps, and the files beside them.

use anyhow::Context as _;
use steer_common::{
    Route,
    service::{CLASS_ANYONE, ClassId, ServiceKey},
};

use super::args::Instance;
use crate::{
    control::{read_clusters, read_names, read_status},
    desired::model::Cluster,
    image::{DestinationName, ServiceName},
    kernel::{Maps, Pins},
    live::Live,
    plan::Names,
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
    /// What the agent says.
    pub(super) status: serde_json::Value,
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
        Ok(Seen {
            live,
            names,
            clusters,
            status: self.status()?.unwrap_or_default(),
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
                Some(InForce {
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

    /// The destinations of a route: name, connections, endpoints.
    pub(super) fn destinations<'a>(
        &'a self,
        route: &'a Route,
    ) -> impl Iterator<
        Item = (
            Option<&'a DestinationName>,
            u64,
            &'a steer_common::Destination,
        ),
    > + 'a {
        route
            .destinations()
            .iter()
            .zip(route.counters..)
            .map(|(found, counter)| {
                let name = self
                    .names
                    .destinations
                    .get(&found.subset)
                    .map(|name| &**name);
                (
                    name,
                    self.live
                        .counters
                        .get(&counter)
                        .copied()
                        .unwrap_or_default(),
                    found,
                )
            })
    }

    /// What a class stands for.
    pub(super) fn class(&self, class: ClassId) -> String {
        if class == CLASS_ANYONE {
            return "*".to_owned();
        }
        let text = self
            .status
            .get("classes")
            .and_then(|classes| classes.get(class.to_string()));
        text.and_then(serde_json::Value::as_str)
            .map_or_else(|| format!("class {class}"), str::to_owned)
    }
}

/// The service of a route for filters: namespace and text to search.
pub(super) fn fits(found: &InForce<'_>, namespace: Option<&str>, name: Option<&str>) -> bool {
    let service = found.service;
    namespace.is_none_or(|wanted| service.is_some_and(|name| name.namespace == wanted))
        && name.is_none_or(|wanted| service.is_some_and(|name| name.host.contains(wanted)))
}
