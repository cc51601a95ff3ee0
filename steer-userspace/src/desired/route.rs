//! What a client sees of a service port: the chosen rule with its endpoints.

use std::{collections::BTreeSet, sync::Arc};

use steer_common::{
    Proto,
    limits::DESTINATIONS_MAX,
    service::Depth,
    weights::{WeightError, scale},
};

use super::{
    client::Client,
    codes::{self, Code},
    destination_rules::{DestinationRules, Merged},
    endpoints::usable,
    host,
    model::{Destination, Endpoint, Route, Rule, View},
    registry::{Host, HostPort, Registry},
    report::Report,
    select::{Choice, Chosen, Dial, choose},
    settings::Settings,
    virtual_services::VirtualServices,
};
use crate::{
    finding::{Finding, ObjectRef},
    source::{
        Object,
        istio::{Destination as Written, VirtualService},
    },
};

/// Everything a route is made from.
#[derive(Clone, Copy)]
pub struct World<'w> {
    /// The services.
    pub registry: &'w Registry,
    /// The VirtualServices.
    pub virtual_services: &'w VirtualServices,
    /// The DestinationRules.
    pub destination_rules: &'w DestinationRules,
    /// How names are read.
    pub settings: &'w Settings,
}

/// A view, and what it was made from.
#[derive(Clone, Debug)]
pub struct Made {
    /// What the client sees.
    pub view: View,
    /// The hosts that were looked at.
    pub consulted: BTreeSet<String>,
    /// What only shows when a rule meets a port.
    pub findings: Vec<Finding>,
}

/// Makes what `client` sees of a port of `service`.
pub fn make(world: World<'_>, service: &Host, port: &HostPort, client: &Client<'_>) -> Made {
    let mut maker = Maker {
        world,
        dial: Dial {
            service,
            port,
            client,
        },
        consulted: BTreeSet::from([service.name.clone()]),
        report: Report::default(),
    };
    let view = maker.view();
    Made {
        view,
        consulted: maker.consulted,
        findings: maker.report.found,
    }
}

struct Maker<'w> {
    world: World<'w>,
    dial: Dial<'w>,
    consulted: BTreeSet<String>,
    report: Report,
}

/// A destination as a rule names it.
struct Named<'w> {
    object: &'w Object<VirtualService>,
    field: String,
    to: &'w Written,
    weight: u32,
}

impl<'w> Maker<'w> {
    fn view(&mut self) -> View {
        let dial = self.dial;
        if !dial.client.sees(&dial.service.visibility) {
            return View::Hidden;
        }
        View::Route(match choose(self.world.virtual_services, dial) {
            None => self.own_route(Depth::Connect),
            Some(Choice::Rule(chosen)) => self.rule_route(&chosen),
            Some(Choice::NoCatchAll {
                prepared,
                list,
                depth,
            }) => {
                let message = format!(
                    "no rule takes everything that is sent to {}:{}: what no rule takes Istio answers itself (404, or a reset), \
                     here all of it goes to the service's own endpoints",
                    dial.service.name, dial.port.port.port
                );
                self.report.add(
                    &prepared.object,
                    &format!("spec.{list}"),
                    codes::NO_CATCH_ALL,
                    message,
                    "add a last rule without match that says where the rest goes",
                );
                let rule = rule_name(&prepared.object, &format!("spec.{list}"), None);
                Route {
                    rule,
                    ..self.own_route(depth)
                }
            }
        })
    }

    /// The service's own route: all its endpoints.
    fn own_route(&self, depth: Depth) -> Route {
        let Dial {
            service,
            port,
            client,
        } = self.dial;
        let rules = self.world.destination_rules;
        let rule = rules.lookup(client, &service.name, Some(service.namespace()));
        Route {
            depth,
            rule: Rule::Service,
            destinations: vec![Destination {
                host: service.name.clone(),
                port: port.port.port,
                subset: None,
                weight: 1,
                destination_rules: references(rule),
                endpoints: Arc::clone(&port.usable),
            }],
        }
    }

    fn rule_route(&mut self, chosen: &Chosen<'w>) -> Route {
        let Some(weights) = self.weights(chosen) else {
            return self.own_route(chosen.depth);
        };
        if weights.is_empty() {
            // A redirect or a direct response: the review of the rule says so.
            return Route {
                rule: rule_name(chosen.object, &chosen.field, chosen.name),
                ..self.own_route(Depth::Request)
            };
        }
        let mut destinations = Vec::with_capacity(weights.len());
        for (index, (&(to, _), weight)) in chosen.destinations.iter().zip(weights).enumerate() {
            let field = format!("{}.route[{index}].destination", chosen.field);
            destinations.push(self.destination(&Named {
                object: chosen.object,
                field,
                to,
                weight,
            }));
        }
        Route {
            depth: chosen.depth,
            destinations,
            rule: rule_name(chosen.object, &chosen.field, chosen.name),
        }
    }

    /// The weights of a rule; `None` if they do not fit a row. One destination gets everything.
    fn weights(&mut self, chosen: &Chosen<'_>) -> Option<Vec<u32>> {
        // More are refused when the rule is read.
        if chosen.destinations.len() > DESTINATIONS_MAX {
            return None;
        }
        let written = chosen.destinations.iter();
        let mut weights: Vec<u32> = written
            .map(|&(_, weight)| u32::try_from(weight).unwrap_or_default())
            .collect();
        if let [only] = weights.as_mut_slice() {
            *only = (*only).max(1);
        }
        match scale(&weights) {
            Ok(_) => Some(weights),
            Err(WeightError::SumTooLarge { sum }) => {
                self.report.add(
                    chosen.object,
                    &format!("{}.route", chosen.field),
                    codes::WEIGHT_SUM,
                    format!("the weights' sum, divided by their greatest common divisor, is {sum}, which does not fit 32 bits: the service's own endpoints are used"),
                    "weights are relative: use smaller numbers",
                );
                None
            }
        }
    }

    fn destination(&mut self, named: &Named<'_>) -> Destination {
        let Dial { client, port, .. } = self.dial;
        let namespace = &named.object.meta.namespace;
        let host = host::full_name(&named.to.host, namespace, &self.world.settings.domain);
        self.consulted.insert(host.clone());
        let service = self.world.registry.host(&host);
        let port = destination_port(named.to, service.map(|service| &**service), port.port.port);
        let owner = service.map(|service| service.namespace());
        let rule = self.world.destination_rules.lookup(client, &host, owner);
        let endpoints = service.map(|service| self.endpoints(named, service, port, rule));
        Destination {
            host,
            port,
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
        let client = self.dial.client;
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

fn rule_name(object: &Object<VirtualService>, field: &str, name: Option<&str>) -> Rule {
    Rule::VirtualService {
        object: object.reference(),
        field: field.to_owned(),
        name: name.map(ToOwned::to_owned),
        position: Some(object.place.position(field)),
    }
}

/// The subset that a destination names.
pub fn subset_name(to: &Written) -> Option<&str> {
    to.subset.as_deref().filter(|name| !name.is_empty())
}

/// The port of a destination: the one it names, else its service's only one, else the dialled one.
pub fn destination_port(to: &Written, service: Option<&Host>, dialled: u16) -> u16 {
    if let Some(named) = to.port.filter(|port| port.number != 0) {
        // A number beyond 16 bits is no port of any service.
        return u16::try_from(named.number).unwrap_or_default();
    }
    match service.map(|service| service.ports.as_slice()) {
        Some([only]) => only.port.port,
        _ => dialled,
    }
}

fn references(rule: Option<&Merged>) -> Vec<ObjectRef> {
    rule.map(|rule| rule.from.clone()).unwrap_or_default()
}
