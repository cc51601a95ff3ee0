//! `steer get services`: the ports that clients dial.

use std::collections::BTreeSet;

use serde::Serialize;
use steer_common::{Depth, Proto, ServiceKey, service::ROUTE_HIDDEN};

use super::Filter;
use crate::cli::{
    instance::{InForce, Seen, transport},
    output::Row,
};

#[derive(Serialize)]
pub(super) struct Service {
    namespace: String,
    name: String,
    address: String,
    port: u16,
    port_name: String,
    transport: &'static str,
    protocol: String,
    /// Endpoints that some client may be given.
    endpoints: usize,
    depth: &'static str,
    /// Whether some clients do not see it, or see routes of their own.
    varies: bool,
    visible: bool,
    connections: u64,
}

/// One row for each address and port, whatever class of client asks.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Service> {
    let routes = seen.routes();
    let listed = routes.iter().filter(|found| filter.takes(found));
    // Rows of one key stand together: the routes are sorted with the class last.
    let mut groups: Vec<(ServiceKey, Vec<&InForce<'_>>)> = Vec::new();
    for found in listed {
        let key = ServiceKey {
            class: 0,
            ..*found.key
        };
        match groups.last_mut() {
            Some((last, group)) if *last == key => group.push(found),
            _ => groups.push((key, vec![found])),
        }
    }
    groups
        .iter()
        .map(|(key, group)| row(seen, key, group))
        .collect()
}

fn row(seen: &Seen, key: &ServiceKey, group: &[&InForce<'_>]) -> Service {
    let service = group.iter().find_map(|found| found.service);
    let text = |field: fn(&crate::image::ServiceName) -> &String| {
        service.map_or_else(|| "?".to_owned(), |name| field(name).clone())
    };
    let destinations = || {
        group
            .iter()
            .flat_map(|found| seen.destinations(found.route))
    };
    let endpoints: BTreeSet<u32> = destinations()
        .flat_map(|found| found.placed.first..found.placed.first.saturating_add(found.placed.count))
        .collect();
    let visible = group.iter().any(|found| !found.route.has(ROUTE_HIDDEN));
    let depth = group.iter().map(|found| found.route.depth()).max();
    Service {
        namespace: text(|name| &name.namespace),
        name: text(|name| &name.name),
        address: key.addr.to_string(),
        port: key.port.number(),
        port_name: text(|name| &name.port_name),
        transport: transport(key).map_or("?", Proto::name),
        protocol: text(|name| &name.protocol),
        endpoints: endpoints.len(),
        depth: depth.map_or("?", Depth::name),
        varies: group.len() > 1,
        visible,
        connections: destinations().map(|found| found.connections).sum(),
    }
}

impl Row for Service {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec![
            "NAMESPACE",
            "SERVICE NAME",
            "SERVICE VIP",
            "PORT",
            "PROTOCOL",
            "ENDPOINTS",
            "DEPTH",
            "CONNECTIONS",
        ];
        if wide {
            headers.extend(["TRANSPORT", "PORT NAME", "CLIENTS"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.namespace.clone(),
            self.name.clone(),
            self.address.clone(),
            self.port.to_string(),
            self.protocol.clone(),
            self.endpoints.to_string(),
            self.depth.to_owned(),
            self.connections.to_string(),
        ];
        if wide {
            let clients = match (self.visible, self.varies) {
                (false, _) => "none",
                (true, true) => "it depends",
                (true, false) => "all alike",
            };
            cells.extend([
                self.transport.to_owned(),
                self.port_name.clone(),
                clients.to_owned(),
            ]);
        }
        cells
    }
}
