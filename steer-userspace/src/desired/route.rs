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
    model::{Destination, Endpoint, Mirror, RequestRule, Route, Rule, View},
    protocol::RuleList,
    registry::{Host, HostPort, Registry},
    report::Report,
    select::{self, Choice, Chosen, Dial, choose, holding},
    settings::{Settings, SplitMode},
    unenforced::is_copied,
    virtual_services::{HttpRule, VirtualServices},
};
use crate::{
    finding::{Finding, ObjectRef},
    source::{
        Object,
        istio::{Copies, Destination as Written, HttpRoute, VirtualService},
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
            Some(Choice::Rule(chosen)) => self.rule_route(chosen),
            Some(Choice::NoCatchAll {
                prepared,
                list,
                depth,
                requests,
            }) => {
                let field = format!("spec.{list}");
                if depth == Depth::Hello {
                    self.report_no_catch_all(&prepared.object, &field);
                }
                let route = Route {
                    rule: rule_name(&prepared.object, &field, None),
                    ..self.own_route(depth)
                };
                self.with_requests(route, &requests)
            }
        })
    }

    fn report_no_catch_all(&mut self, object: &Object<VirtualService>, field: &str) {
        let message = format!(
            "no rule takes everything that is sent to {}:{}: what no rule takes Istio answers itself (with a reset), \
             here all of it goes to the service's own endpoints",
            self.dial.service.name, self.dial.port.port.port
        );
        let help = "add a last rule that says where the rest goes";
        self.report
            .add(object, field, codes::NO_CATCH_ALL, message, help);
    }

    /// Adds the rules that look at requests, if they can be looked at.
    fn with_requests(&mut self, mut route: Route, rules: &[&'w HttpRule]) -> Route {
        if route.depth != Depth::Request {
            // Nothing but copies can be made of them on their way.
            let copied = rules.first().filter(|rule| is_copied(rule.route()));
            let copied = copied.filter(|_| route.depth == Depth::Connect);
            route.requests = copied
                .into_iter()
                .map(|rule| self.request_rule(rule))
                .collect();
            return route;
        }
        let Dial { service, port, .. } = self.dial;
        if port.protocol.rule_list() == RuleList::Sniffed {
            for rule in rules {
                let message = format!(
                    "port {} of {} does not say its protocol: its requests are not looked at, connections take the \
                     first rule that needs no request",
                    port.port.port, service.name
                );
                let help = "begin the port's name with http, http2 or grpc";
                self.report.add(
                    &*rule.object,
                    &rule.field,
                    codes::REQUEST_MATCH,
                    message,
                    help,
                );
            }
            route.depth = Depth::Connect;
            return route;
        }
        route.requests = rules.iter().map(|rule| self.request_rule(rule)).collect();
        route
    }

    fn request_rule(&mut self, rule: &'w HttpRule) -> RequestRule {
        let written = HttpRoute {
            matches: holding(rule, self.dial).cloned().collect(),
            ..rule.route().clone()
        };
        let to = select::destinations(rule);
        let destinations = match self.weights(&rule.object, &rule.field, &to) {
            None => self.own_route(Depth::Connect).destinations,
            Some(weights) => self.destinations(&rule.object, &rule.field, &to, weights),
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
        };
        copies.map(mirror).collect()
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
            requests: Vec::new(),
        }
    }

    fn rule_route(&mut self, mut chosen: Chosen<'w>) -> Route {
        if self.splits_requests(&chosen) {
            chosen.depth = Depth::Request;
        }
        let Chosen { object, field, .. } = &chosen;
        let rule = rule_name(object, field, chosen.name);
        let route = match self.weights(object, field, &chosen.destinations) {
            None => Route {
                depth: chosen.depth,
                ..self.own_route(chosen.depth)
            },
            // A redirect or a direct response.
            Some(weights) if weights.is_empty() => Route {
                rule,
                ..self.own_route(chosen.depth)
            },
            Some(weights) => Route {
                depth: chosen.depth,
                destinations: self.destinations(object, field, &chosen.destinations, weights),
                rule,
                requests: Vec::new(),
            },
        };
        self.with_requests(route, &chosen.requests)
    }

    /// Whether weights are to hold for requests, not for connections.
    fn splits_requests(&self, chosen: &Chosen<'_>) -> bool {
        let mode = chosen.split.unwrap_or(self.world.settings.split);
        mode == SplitMode::Request && chosen.destinations.len() > 1 && !chosen.requests.is_empty()
    }

    fn destinations(
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
    fn weights(
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
