//! `steer get routes`: the columns of `istioctl proxy-config route` where there is a counterpart,
//! with depth, shares and how exact they are.

use serde::Serialize;
use steer_common::{Route as Row_, service::ROUTE_HIDDEN};

use super::Filter;
use crate::{
    cli::{
        instance::{InForce, Seen, fits},
        output::Row,
    },
    desired::model::Rule,
};

#[derive(Serialize)]
pub(super) struct Route {
    name: String,
    host: String,
    address: String,
    transport: String,
    client: String,
    rule: String,
    position: Option<String>,
    depth: &'static str,
    visible: bool,
    destinations: Vec<Share>,
    connections: u64,
    /// Largest distance of a destination's count from its exact share, in connections, since these
    /// weights took effect.
    split_error: f64,
    tickets: u64,
    generation: u32,
}

#[derive(Serialize)]
pub(super) struct Share {
    cluster: String,
    weight: u32,
    endpoints: u32,
    connections: u64,
}

/// One row for each address, port and class of client.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Route> {
    let routes = seen.routes();
    let listed = routes
        .iter()
        .filter(|found| fits(found, filter.namespace, filter.name));
    listed.map(|found| row(seen, found)).collect()
}

fn row(seen: &Seen, found: &InForce<'_>) -> Route {
    let shares: Vec<Share> = seen
        .destinations(found.route)
        .map(|(name, connections, placed)| Share {
            cluster: name.map_or_else(|| "?".to_owned(), crate::image::DestinationName::cluster),
            weight: name.map_or(placed.weight, |name| name.weight),
            endpoints: placed.count,
            connections,
        })
        .collect();
    let rule = seen.names.rules.get(&found.route.rule).map(|rule| &**rule);
    let proto = steer_common::Proto::from_number(u32::from(found.key.proto));
    Route {
        name: found.key.port.to_string(),
        host: found
            .service
            .map_or_else(|| "?".to_owned(), |name| name.host.clone()),
        address: steer_common::addr::Peer::new(found.key.addr, found.key.port).to_string(),
        transport: proto.map_or("?", steer_common::Proto::name).to_owned(),
        client: seen.class(found.key.class),
        rule: rule.map_or_else(|| "?".to_owned(), rule_text),
        position: rule.and_then(position),
        depth: found.route.depth().name(),
        visible: !found.route.has(ROUTE_HIDDEN),
        connections: shares.iter().map(|share| share.connections).sum(),
        split_error: split_error(found.route, &shares),
        destinations: shares,
        tickets: seen
            .live
            .tickets
            .get(&found.route.split)
            .copied()
            .unwrap_or_default(),
        generation: found.route.generation,
    }
}

/// The largest |count - N * weight / W| over the destinations.
fn split_error(route: &Row_, shares: &[Share]) -> f64 {
    let total = f64::from(route.total.max(1));
    let count: u64 = shares.iter().map(|share| share.connections).sum();
    let distance = |(share, placed): (&Share, &steer_common::Destination)| {
        let exact = precise(count) * f64::from(placed.weight) / total;
        (precise(share.connections) - exact).abs()
    };
    let distances = shares.iter().zip(route.destinations()).map(distance);
    (distances.fold(0.0, f64::max) * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}

/// `catalog.istioinaction spec.http[0]`, or `-` for the service itself.
pub(in crate::cli) fn rule_text(rule: &Rule) -> String {
    match rule {
        Rule::Service => "-".to_owned(),
        Rule::VirtualService { object, field, .. } => {
            format!("{}.{} {field}", object.name, object.namespace)
        }
    }
}

/// Where the rule stands.
pub(in crate::cli) fn position(rule: &Rule) -> Option<String> {
    match rule {
        Rule::Service => None,
        Rule::VirtualService { position, .. } => position.as_ref().map(ToString::to_string),
    }
}

impl Row for Route {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec![
            "NAME",
            "VHOST NAME",
            "ADDRESS",
            "CLIENT",
            "VIRTUAL SERVICE",
            "DEPTH",
            "SHARES",
            "CONNECTIONS",
            "SPLIT ERROR",
        ];
        if wide {
            headers.extend(["TRANSPORT", "TICKETS", "GENERATION", "POSITION"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let share = |share: &Share| {
            let subset = share
                .cluster
                .split('|')
                .nth(2)
                .filter(|subset| !subset.is_empty());
            let host = share.cluster.rsplit('|').next().unwrap_or_default();
            let name = subset.unwrap_or_else(|| host.split('.').next().unwrap_or_default());
            format!("{name}={}:{}", share.weight, share.connections)
        };
        let shares = if self.visible {
            self.destinations
                .iter()
                .map(share)
                .collect::<Vec<_>>()
                .join(" ")
        } else {
            "not visible".to_owned()
        };
        let mut cells = vec![
            self.name.clone(),
            format!("{}:{}", self.host, self.name),
            self.address.clone(),
            self.client.clone(),
            self.rule.clone(),
            self.depth.to_owned(),
            shares,
            self.connections.to_string(),
            self.split_error.to_string(),
        ];
        if wide {
            cells.extend([
                self.transport.clone(),
                self.tickets.to_string(),
                self.generation.to_string(),
                self.position.clone().unwrap_or_default(),
            ]);
        }
        cells
    }
}
