//! What a client sees of a service port: the chosen rule with its endpoints.

use std::{collections::BTreeSet, sync::Arc};

use steer_common::service::Depth;

use super::{
    client::Client,
    codes,
    destination_rules::DestinationRules,
    destinations::{Destinations, references, rule_name},
    model::{Destination, RequestRule, Route, Rule, View},
    protocol::RuleList,
    registry::{Host, HostPort, Registry},
    select::{Choice, Chosen, Dial, choose},
    settings::{Settings, SplitMode},
    unenforced::is_copied,
    virtual_services::{HttpRule, VirtualServices},
};
use crate::{
    finding::Finding,
    source::{Object, istio::VirtualService},
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
        destinations: Destinations::new(world, client, port.port.port),
    };
    let view = maker.view();
    let Destinations {
        mut consulted,
        report,
        ..
    } = maker.destinations;
    consulted.insert(service.name.clone());
    Made {
        view,
        consulted,
        findings: report.found,
    }
}

struct Maker<'w> {
    world: World<'w>,
    dial: Dial<'w>,
    destinations: Destinations<'w>,
}

impl<'w> Maker<'w> {
    fn view(&mut self) -> View {
        let dial = self.dial;
        if !dial.client.sees(&dial.service.visibility) {
            return View::Hidden;
        }
        View::Route(match choose(self.world.virtual_services, dial) {
            None => own_route(self.world, self.dial, Depth::Connect),
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
                    ..own_route(self.world, self.dial, depth)
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
        let report = &mut self.destinations.report;
        report.add(object, field, codes::NO_CATCH_ALL, message, help);
    }

    /// Adds the rules that look at requests, if they can be looked at.
    fn with_requests(&mut self, mut route: Route, rules: &[&'w HttpRule]) -> Route {
        if route.depth != Depth::Request {
            // They can only be copied and counted on their way.
            let read = |rule: &&&HttpRule| route.auto || is_copied(rule.route());
            let read = rules.first().filter(read);
            route.requests = self.of_requests(read.filter(|_| route.depth == Depth::Connect));
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
                self.destinations.report.add(
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
        route.requests = self.of_requests(rules);
        route
    }

    fn of_requests<'r>(
        &mut self,
        rules: impl IntoIterator<Item = &'r &'w HttpRule>,
    ) -> Vec<RequestRule>
    where
        'w: 'r,
    {
        let (world, dial) = (self.world, self.dial);
        let own = || own_route(world, dial, Depth::Connect).destinations;
        let rules = rules.into_iter();
        rules
            .map(|rule| self.destinations.of_requests(rule, own))
            .collect()
    }

    fn rule_route(&mut self, mut chosen: Chosen<'w>) -> Route {
        if self.splits_requests(&chosen) {
            chosen.depth = Depth::Request;
        }
        let Chosen { object, field, .. } = &chosen;
        let rule = rule_name(object, field, chosen.name);
        let route = match self
            .destinations
            .weights(object, field, &chosen.destinations)
        {
            None => Route {
                depth: chosen.depth,
                ..own_route(self.world, self.dial, chosen.depth)
            },
            // A redirect or a direct response.
            Some(weights) if weights.is_empty() => Route {
                rule,
                ..own_route(self.world, self.dial, chosen.depth)
            },
            Some(weights) => Route {
                depth: chosen.depth,
                destinations: self
                    .destinations
                    .all(object, field, &chosen.destinations, weights),
                rule,
                requests: Vec::new(),
                auto: chosen.depth == Depth::Connect && self.counts_requests(&chosen),
            },
        };
        self.with_requests(route, &chosen.requests)
    }

    /// Whether weights are to hold for requests, not for connections.
    fn splits_requests(&self, chosen: &Chosen<'_>) -> bool {
        self.mode(chosen) == Some(SplitMode::Request)
    }

    /// Whether weights are to hold for requests if connections do not see to it. A client that is
    /// remembered gets what it got before, whatever the weights.
    fn counts_requests(&self, chosen: &Chosen<'_>) -> bool {
        let port = self.dial.port;
        let drawn = chosen.destinations.iter().filter(|(_, weight)| *weight > 0);
        self.mode(chosen) == Some(SplitMode::Auto)
            && drawn.count() > 1
            && port.protocol.rule_list() == RuleList::Http
            && port.affinity_secs.is_none()
    }

    /// What a split of requests is for; none if it is no such split.
    fn mode(&self, chosen: &Chosen<'_>) -> Option<SplitMode> {
        let splits = chosen.destinations.len() > 1 && !chosen.requests.is_empty();
        splits.then(|| chosen.split.unwrap_or(self.world.settings.split))
    }
}

/// The service's own route: all its endpoints.
fn own_route(world: World<'_>, dial: Dial<'_>, depth: Depth) -> Route {
    let Dial {
        service,
        port,
        client,
    } = dial;
    let rules = world.destination_rules;
    let rule = rules.lookup(client, &service.name, Some(service.namespace()));
    Route {
        depth,
        rule: Rule::Service,
        destinations: vec![Destination {
            host: service.name.clone(),
            port: port.port.port,
            http2: false,
            subset: None,
            weight: 1,
            destination_rules: references(rule),
            endpoints: Arc::clone(&port.usable),
        }],
        requests: Vec::new(),
        auto: false,
    }
}
