//! `steer get routes`: the columns of `istioctl proxy-config route`, and beside them whose routes
//! they are, how deep they look, what each destination got and how exactly.

use serde::Serialize;
use steer_common::{Proto, Route as RouteRow, addr::Peer, service::ROUTE_HIDDEN};

use super::{Filter, edge};
use crate::{
    cli::{
        instance::{InForce, Reached, Seen, transport},
        output::Row,
    },
    control::Kept,
    desired::model::Rule,
    image::ServiceName,
    requests::Shown,
    telemetry::split_error,
};

#[derive(Serialize)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) vhost_name: String,
    pub(super) domains: Vec<String>,
    #[serde(rename = "match")]
    pub(super) matches: String,
    pub(super) virtual_service: Option<String>,
    /// The rule's field, e.g. `spec.http[0]`.
    pub(super) field: Option<String>,
    pub(super) position: Option<String>,
    pub(super) address: String,
    pub(super) transport: &'static str,
    pub(super) client: String,
    pub(super) depth: &'static str,
    /// Of a split of connections that becomes one of requests where that keeps the weights better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auto: Option<Kept>,
    pub(super) visible: bool,
    pub(super) destinations: Vec<Share>,
    /// Of a rule that looks at requests: where it leads, or what it answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) leads_to: Vec<String>,
    /// Where copies of requests go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mirrors: Vec<String>,
    /// Since these weights took effect.
    pub(super) connections: u64,
    /// Largest distance of a destination's count from its exact share, in connections, since these
    /// weights took effect; none if clients are remembered or there is no destination.
    pub(super) split_error: Option<f64>,
    /// How many the split has given out in its whole life.
    pub(super) tickets: u64,
    pub(super) generation: u32,
    /// Of a rule that looks at requests: how many it has taken since its agent began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requests: Option<u64>,
}

/// What one destination got.
#[derive(Serialize)]
pub(in crate::cli) struct Share {
    pub(in crate::cli) cluster: String,
    /// As written.
    pub(in crate::cli) weight: u32,
    pub(in crate::cli) endpoints: u32,
    pub(in crate::cli) connections: u64,
}

/// One row for each address, port and class of client; before it, one for each rule that looks at its
/// requests. Then what gateways serve.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Route> {
    let routes = seen.routes();
    let listed = routes.iter().filter(|found| filter.takes(found));
    listed
        .flat_map(|found| {
            let looking = seen.requests(found.route).iter().enumerate();
            let looking = looking.map(|(index, rule)| of_requests(seen, found, index, rule));
            looking.chain([row(seen, found)])
        })
        .chain(edge::rows(seen, filter))
        .collect()
}

/// A rule that looks at requests: it has no connections of its own.
fn of_requests(seen: &Seen, found: &InForce<'_>, index: usize, rule: &Shown) -> Route {
    Route {
        matches: rule.matches.join(" or "),
        virtual_service: virtual_service(&rule.rule),
        field: field(&rule.rule),
        position: position(&rule.rule),
        destinations: Vec::new(),
        leads_to: rule.leads_to.clone(),
        mirrors: rule.mirrors.clone(),
        connections: 0,
        split_error: None,
        requests: Some(seen.taken(found.route, index)),
        ..row(seen, found)
    }
}

fn row(seen: &Seen, found: &InForce<'_>) -> Route {
    let route = found.route;
    let shares = shares(seen, route);
    let rule = seen.names.rules.get(&route.rule).map(|rule| &**rule);
    let port = found.key.port;
    let host = found.service.map_or("?", |name| &name.host);
    Route {
        name: port.to_string(),
        vhost_name: format!("{host}:{port}"),
        domains: domains(found),
        matches: if seen.requests(route).is_empty() {
            matches(found.service).to_owned()
        } else {
            "(unseen)".to_owned()
        },
        virtual_service: rule.and_then(virtual_service),
        field: rule.and_then(field),
        position: rule.and_then(position),
        address: Peer::new(found.key.addr, port).to_string(),
        transport: transport(found.key).map_or("?", Proto::name),
        client: seen.class(found.key.class),
        depth: route.depth().name(),
        auto: seen.kept(route).cloned(),
        visible: !route.has(ROUTE_HIDDEN),
        connections: shares.iter().map(|share| share.connections).sum(),
        split_error: exact(route, &shares),
        destinations: shares,
        leads_to: Vec::new(),
        mirrors: seen.copies(route).cloned().collect(),
        tickets: seen.tickets(route),
        generation: route.generation,
        requests: None,
    }
}

/// What each destination of a route got.
pub(in crate::cli) fn shares(seen: &Seen, route: &RouteRow) -> Vec<Share> {
    let share = |found: Reached<'_>| Share {
        cluster: found.cluster(),
        weight: found.name.map_or(found.placed.weight, |name| name.weight),
        endpoints: found.placed.count,
        connections: found.connections,
    };
    seen.destinations(route).map(share).collect()
}

/// Names that lead here, without those that only lengthen another: from all namespaces.
fn domains(found: &InForce<'_>) -> Vec<String> {
    let name = found
        .service
        .map(|name| format!("{}.{}", name.name, name.namespace));
    name.into_iter()
        .chain([found.key.addr.to_string()])
        .collect()
}

/// What is decided when the socket connects holds for every request.
pub(super) fn matches(service: Option<&ServiceName>) -> &'static str {
    let protocol = service.map_or("", |name| &name.protocol);
    if protocol.starts_with("HTTP") || protocol.starts_with("GRPC") {
        "/*"
    } else {
        "-"
    }
}

fn exact(route: &RouteRow, shares: &[Share]) -> Option<f64> {
    let counts: Vec<u64> = shares.iter().map(|share| share.connections).collect();
    split_error(route, &counts)
}

/// `catalog.istioinaction`; none for the service itself.
pub(in crate::cli) fn virtual_service(rule: &Rule) -> Option<String> {
    match rule {
        Rule::Service | Rule::Object { .. } | Rule::Setting { .. } => None,
        Rule::VirtualService { object, .. } => {
            Some(format!("{}.{}", object.name, object.namespace))
        }
    }
}

/// `spec.http[0]`.
pub(in crate::cli) fn field(rule: &Rule) -> Option<String> {
    match rule {
        Rule::Service | Rule::Setting { .. } => None,
        Rule::VirtualService { field, .. } | Rule::Object { field, .. } => Some(field.clone()),
    }
}

/// Where the rule stands.
pub(in crate::cli) fn position(rule: &Rule) -> Option<String> {
    match rule {
        Rule::Service | Rule::Setting { .. } => None,
        Rule::VirtualService { position, .. } | Rule::Object { position, .. } => {
            position.as_ref().map(ToString::to_string)
        }
    }
}

/// `version-v1=90`: destination of requests, weight as written; or what is answered.
pub(in crate::cli) fn leading(to: &str) -> String {
    let Some((cluster, weight)) = to
        .split_once(' ')
        .filter(|(cluster, _)| cluster.contains('|'))
    else {
        return to.to_owned();
    };
    format!("{}={weight}", short(cluster))
}

/// `mirror version-v2=100%`.
fn copied(to: &str) -> String {
    let to = to.strip_prefix("mirror ").unwrap_or(to);
    format!("mirror {}", leading(to))
}

/// `10.0 points of 200`: how far the shares of so many requests were from the weights.
fn measured(kept: &Kept) -> String {
    match (kept.requests, kept.points) {
        (Some(requests), Some(points)) => format!("{points:.1} points of {requests}"),
        _ => "not known".to_owned(),
    }
}

/// `version-v1=90:9`: destination, weight as written, connections.
fn share(share: &Share) -> String {
    let name = short(&share.cluster);
    format!("{name}={}:{}", share.weight, share.connections)
}

/// The subset of a cluster, else the first part of its host.
pub(in crate::cli) fn short(cluster: &str) -> &str {
    let mut parts = cluster.split('|').skip(2);
    let subset = parts.next().filter(|subset| !subset.is_empty());
    let host = parts.next().unwrap_or("?");
    subset.unwrap_or_else(|| host.split('.').next().unwrap_or("?"))
}

impl Row for Route {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec![
            "NAME",
            "VHOST NAME",
            "DOMAINS",
            "MATCH",
            "VIRTUAL SERVICE",
            "CLIENT",
            "DEPTH",
            "SHARES",
            "CONNECTIONS",
            "SPLIT ERROR",
        ];
        if wide {
            headers.extend([
                "ADDRESS",
                "TRANSPORT",
                "TICKETS",
                "GENERATION",
                "STRAYED",
                "FIELD",
                "POSITION",
                "REQUESTS",
            ]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let dash = || "-".to_owned();
        let own = self.destinations.iter().map(share);
        let shares: Vec<String> = own
            .chain(self.leads_to.iter().map(|to| leading(to)))
            .chain(self.mirrors.iter().map(|to| copied(to)))
            .collect();
        let shares = match (self.visible, shares.is_empty()) {
            (false, _) => "not visible".to_owned(),
            (true, true) => "refused".to_owned(),
            (true, false) => shares.join(" "),
        };
        // TCP goes without saying.
        let name = if self.transport == Proto::Tcp.name() {
            self.name.clone()
        } else {
            format!("{}/{}", self.name, self.transport)
        };
        let mut cells = vec![
            name,
            self.vhost_name.clone(),
            self.domains.join(", "),
            self.matches.clone(),
            self.virtual_service.clone().unwrap_or_default(),
            self.client.clone(),
            match self.auto {
                Some(_) => format!("{} (auto)", self.depth),
                None => self.depth.to_owned(),
            },
            shares,
            self.connections.to_string(),
            self.split_error
                .map_or_else(dash, |distance| distance.to_string()),
        ];
        if wide {
            cells.extend([
                self.address.clone(),
                self.transport.to_owned(),
                self.tickets.to_string(),
                self.generation.to_string(),
                self.auto.as_ref().map_or_else(dash, measured),
                self.field.clone().unwrap_or_else(dash),
                self.position.clone().unwrap_or_else(dash),
                self.requests.map_or_else(dash, |count| count.to_string()),
            ]);
        }
        cells
    }
}
