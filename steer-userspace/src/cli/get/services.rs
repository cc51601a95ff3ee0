//! `steer get services`.

use serde::Serialize;
use steer_common::{Proto, service::CLASS_ANYONE};

use super::Filter;
use crate::cli::{
    instance::{Seen, fits},
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
    endpoints: u32,
    depth: &'static str,
    visible: bool,
    connections: u64,
}

/// One row for each address and port, as clients of no class see it.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Service> {
    seen.routes()
        .iter()
        .filter(|found| {
            found.key.class == CLASS_ANYONE && fits(found, filter.namespace, filter.name)
        })
        .map(|found| {
            let text = |field: fn(&crate::image::ServiceName) -> &String| {
                found
                    .service
                    .map_or_else(|| "?".to_owned(), |name| field(name).clone())
            };
            let proto = Proto::from_number(u32::from(found.key.proto));
            Service {
                namespace: text(|name| &name.namespace),
                name: text(|name| &name.name),
                address: found.key.addr.to_string(),
                port: found.key.port.number(),
                port_name: text(|name| &name.port_name),
                transport: proto.map_or("?", Proto::name),
                protocol: text(|name| &name.protocol),
                endpoints: found.route.destinations().iter().map(|one| one.count).sum(),
                depth: found.route.depth().name(),
                visible: !found.route.has(steer_common::service::ROUTE_HIDDEN),
                connections: seen
                    .destinations(found.route)
                    .map(|(_, count, _)| count)
                    .sum(),
            }
        })
        .collect()
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
            headers.extend(["TRANSPORT", "PORT NAME", "VISIBLE"]);
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
            let visible = if self.visible {
                "to everyone"
            } else {
                "to some"
            };
            cells.extend([
                self.transport.to_owned(),
                self.port_name.clone(),
                visible.to_owned(),
            ]);
        }
        cells
    }
}
