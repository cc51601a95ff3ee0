//! Where rules lead a client: destinations with their weights and endpoints, and copies.

use std::{collections::BTreeSet, sync::Arc};

use steer_common::{
    Proto,
    limits::DESTINATIONS_MAX,
    weights::{WeightError, scale},
};

use super::{
    client::Client,
    codes::{self, Code},
    destination_rules::Merged,
    endpoints::usable,
    host,
    model::{Destination, Endpoint, Mirror, RequestRule, Rule},
    protocol::Protocol,
    registry::Host,
    report::Report,
    route::World,
    select::{self, holding},
    settings::MirrorHost,
    virtual_services::HttpRule,
};
use crate::{
    finding::ObjectRef,
    source::{
        Object,
        istio::{Copies, Destination as Written, HttpRoute, VirtualService},
    },
};

/// Makes destinations, and notes what it looked at.
pub(super) struct Destinations<'w> {
    world: World<'w>,
    client: &'w Client<'w>,
    /// The port that the client dialled.
    dialled: u16,
    pub(super) consulted: BTreeSet<String>,
    pub(super) report: Report,
}

/// A destination as a rule names it.
struct Named<'w> {
    object: &'w Object<VirtualService>,
    field: String,
    to: &'w Written,
    weight: u32,
}

impl<'w> Destinations<'w> {
    pub(super) fn new(world: World<'w>, client: &'w Client<'w>, dialled: u16) -> Self {
        Self {
            world,
            client,
            dialled,
            consulted: BTreeSet::new(),
            report: Report::default(),
        }
    }

    /// A rule that looks at requests; `otherwise` is where it leads if its weights do not fit.
    pub(super) fn of_requests(
        &mut self,
        rule: &'w HttpRule,
        otherwise: impl FnOnce() -> Vec<Destination>,
    ) -> RequestRule {
        let written = HttpRoute {
            matches: holding(rule, self.client, self.dialled).cloned().collect(),
            ..rule.route().clone()
        };
        let to = select::destinations(rule);
        let destinations = match self.weights(&rule.object, &rule.field, &to) {
            None => otherwise(),
            Some(weights) => self.all(&rule.object, &rule.field, &to, weights),
        };
        RequestRule {
            rule: rule_name(&rule.object, &rule.field, rule.route().name.as_deref()),
            written: Arc::new(written),
            destinations,
            mirrors: self.mirrors(rule),
        }
    }

    fn mirrors(&mut self, rule: &'w HttpRule) -> Vec<Mirror> {
        let copies = rule.route().copies().into_iter();
        let mirror = |copies: Copies<'w>| Mirror {
            to: self.destination(&Named {
                object: &rule.object,
                field: format!("{}.{}", rule.field, copies.field),
                to: copies.to,
                weight: 1,
            }),
            millionths: copies.millionths,
            host: MirrorHost::of(&rule.object),
        };
        copies.map(mirror).collect()
    }

    /// The destinations of a rule.
    pub(super) fn all(
        &mut self,
        object: &'w Object<VirtualService>,
        field: &str,
        to: &[(&'w Written, i64)],
        weights: Vec<u32>,
    ) -> Vec<Destination> {
        let mut destinations = Vec::with_capacity(weights.len());
        for (index, (&(to, _), weight)) in to.iter().zip(weights).enumerate() {
            let field = format!("{field}.route[{index}].destination");
            destinations.push(self.destination(&Named {
                object,
                field,
                to,
                weight,
            }));
        }
        destinations
    }

    /// The weights of a rule; `None` if they do not fit a row. One destination gets everything.
    pub(super) fn weights(
        &mut self,
        object: &Object<VirtualService>,
        field: &str,
        to: &[(&Written, i64)],
    ) -> Option<Vec<u32>> {
        // More are refused when the rule is read.
        if to.len() > DESTINATIONS_MAX {
            return None;
        }
        let mut weights: Vec<u32> = to
            .iter()
            .map(|&(_, weight)| u32::try_from(weight).unwrap_or_default())
            .collect();
        if let [only] = weights.as_mut_slice() {
            *only = (*only).max(1);
        }
        match scale(&weights) {
            Ok(_) => Some(weights),
            Err(WeightError::SumTooLarge { sum }) => {
                self.report.add(
                    object,
                    &format!("{field}.route"),
                    codes::WEIGHT_SUM,
                    format!("the weights' sum, divided by their greatest common divisor, is {sum}, which does not fit 32 bits: the service's own endpoints are used"),
                    "weights are relative: use smaller numbers",
                );
                None
            }
        }
    }

    fn destination(&mut self, named: &Named<'_>) -> Destination {
        let namespace = &named.object.meta.namespace;
        let host = host::full_name(&named.to.host, namespace, &self.world.settings.domain);
        self.consulted.insert(host.clone());
        let service = self.world.registry.host(&host);
        let port = destination_port(named.to, service.map(|service| &**service), self.dialled);
        let owner = service.map(|service| service.namespace());
        let rule = self
            .world
            .destination_rules
            .lookup(self.client, &host, owner);
        let speaks = service.and_then(|service| service.port(port, Proto::Tcp));
        let http2 = [Protocol::Http2, Protocol::Grpc, Protocol::GrpcWeb];
        let http2 = speaks.is_some_and(|found| http2.contains(&found.protocol));
        let endpoints = service.map(|service| self.endpoints(named, service, port, rule));
        Destination {
            host,
            port,
            http2,
            subset: subset_name(named.to).map(ToOwned::to_owned),
            weight: named.weight,
            destination_rules: references(rule),
            endpoints: endpoints.unwrap_or_default(),
        }
    }

    /// The usable endpoints of a destination. What does not exist has none and refuses; the review
    /// of the rule says so.
    fn endpoints(
        &mut self,
        named: &Named<'_>,
        service: &Host,
        port: u16,
        rule: Option<&Merged>,
    ) -> Arc<[Endpoint]> {
        let client = self.client;
        let mut refuse = |part: &str, code: Code, message: String, help: &str| {
            let field = format!("{}.{part}", named.field);
            self.report.add(named.object, &field, code, message, help);
            Arc::default()
        };
        if !client.sees(&service.visibility) {
            return refuse(
                "host",
                codes::DESTINATION_HIDDEN,
                format!(
                    "{} is not exported to {}: their connections are refused",
                    service.origin.reference(),
                    client.description()
                ),
                "export it to them, or the VirtualService to fewer",
            );
        }
        let Some(port) = service.port(port, Proto::Tcp) else {
            return Arc::default();
        };
        let Some(name) = subset_name(named.to) else {
            return Arc::clone(&port.usable);
        };
        let Some(subset) = rule.and_then(|rule| rule.subset(name)) else {
            // If no rule defines it, the review has said so.
            let somewhere = self.world.destination_rules.of_host(&service.name);
            if somewhere
                .into_iter()
                .all(|rule| rule.subset(name).is_none())
            {
                return Arc::default();
            }
            return refuse(
                "subset",
                codes::NOT_FOUND,
                format!(
                    "no DestinationRule that {} get defines the subset {name} of {}: their connections are refused",
                    client.description(),
                    service.name
                ),
                "define the subset in a DestinationRule that these clients see",
            );
        };
        if subset.labels.is_empty() {
            return Arc::clone(&port.usable);
        }
        let candidates = port.candidates.iter();
        usable(candidates.filter(|candidate| candidate.has(&subset.labels)))
    }
}

/// How a rule is named.
pub(super) fn rule_name(object: &Object<VirtualService>, field: &str, name: Option<&str>) -> Rule {
    Rule::VirtualService {
        object: object.reference(),
        field: field.to_owned(),
        name: name.map(ToOwned::to_owned),
        position: Some(object.place.position(field)),
    }
}

/// The subset that a destination names.
pub(super) fn subset_name(to: &Written) -> Option<&str> {
    to.subset.as_deref().filter(|name| !name.is_empty())
}

/// The port of a destination: the one it names, else its service's only one, else the dialled one.
fn destination_port(to: &Written, service: Option<&Host>, dialled: u16) -> u16 {
    if let Some(named) = to.port.filter(|port| port.number != 0) {
        // A number beyond 16 bits is no port of any service.
        return u16::try_from(named.number).unwrap_or_default();
    }
    match service.map(|service| service.ports.as_slice()) {
        Some([only]) => only.port.port,
        _ => dialled,
    }
}

pub(super) fn references(rule: Option<&Merged>) -> Vec<ObjectRef> {
    rule.map(|rule| rule.from.clone()).unwrap_or_default()
}
