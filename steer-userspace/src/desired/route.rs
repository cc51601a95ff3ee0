//! The route of one service port, as one client sees it.

use std::{collections::BTreeSet, sync::Arc};

use steer_common::{Proto, limits::DESTINATIONS_MAX, service::Depth};

use super::{
    Settings,
    client::{Client, NO_LABELS},
    destination_rules::DestinationRules,
    export, host,
    model::{Destination, Endpoint, Route, Rule, View},
    registry::{Host, HostPort, Registry, Speaks},
    subnet::Subnet,
    virtual_services::{self, Found, MESH, VirtualServices},
};
use crate::source::istio::{
    Delegate, Destination as WrittenDestination, HttpMatch, HttpRoute, L4Match, StringMatch,
};

/// Everything a route is made from.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The services.
    pub registry: &'a Registry,
    /// The VirtualServices.
    pub virtual_services: &'a VirtualServices,
    /// The DestinationRules.
    pub destination_rules: &'a DestinationRules,
    /// How names are read.
    pub settings: &'a Settings,
}

/// A route, and what it was made from.
#[derive(Clone, Debug)]
pub struct Made {
    /// What the client sees.
    pub view: View,
    /// The hosts that were looked at.
    pub consulted: BTreeSet<String>,
    /// Whether another client might see something else.
    pub varies: bool,
}

/// Makes the route of `port` of `service` for `client`.
pub fn make(
    world: World<'_>,
    service: &Host,
    port: &HostPort,
    proto: Proto,
    client: &Client<'_>,
) -> Made {
    let consulted = BTreeSet::from([service.name.clone()]);
    let mut maker = Maker {
        world,
        service,
        port,
        proto,
        client,
        consulted,
        varies: false,
    };
    let view = maker.view();
    Made {
        view,
        consulted: maker.consulted,
        varies: maker.varies,
    }
}

struct Maker<'a> {
    world: World<'a>,
    service: &'a Host,
    port: &'a HostPort,
    proto: Proto,
    client: &'a Client<'a>,
    consulted: BTreeSet<String>,
    varies: bool,
}

/// What a rule says at the depth of connect.
struct Choice {
    rule: Rule,
    depth: Depth,
    /// Where to; `None` means the service itself.
    to: Option<Vec<(WrittenDestination, i64, String)>>,
}

impl Maker<'_> {
    fn view(&mut self) -> View {
        let namespace = &self.service.object.meta.namespace;
        self.varies |= !export::is_public(&self.service.export_to);
        if !export::is_visible(&self.service.export_to, namespace, self.client.namespace) {
            return View::Hidden;
        }
        let choice = self.choose();
        let destinations = match choice.to {
            None => vec![self.own()],
            Some(to) => {
                let single = to.len() == 1;
                to.into_iter()
                    .take(DESTINATIONS_MAX)
                    .map(|(found, weight, namespace)| {
                        let weight = if single {
                            1
                        } else {
                            u32::try_from(weight).unwrap_or_default()
                        };
                        self.destination(&found, weight, &namespace)
                    })
                    .collect()
            }
        };
        View::Route(Route {
            depth: choice.depth,
            rule: choice.rule,
            destinations,
        })
    }

    /// The rule that decides.
    fn choose(&mut self) -> Choice {
        let nobody = Choice {
            rule: Rule::Service,
            depth: Depth::Connect,
            to: None,
        };
        if self.proto == Proto::Udp {
            return nobody;
        }
        let all = self.world.virtual_services.of_host(&self.service.name);
        self.varies |= all
            .into_iter()
            .any(|found| virtual_services::depends_on_client(found));
        let Some(found) = self
            .world
            .virtual_services
            .find(&self.service.name, self.client)
        else {
            return nobody;
        };
        let found = Arc::clone(found);
        let spec = &found.spec;
        let as_http = match self.port.speaks {
            Speaks::Http => true,
            Speaks::Unknown => !spec.http.is_empty() || spec.tcp.is_empty(),
            Speaks::Tls | Speaks::Tcp | Speaks::Udp => false,
        };
        let chosen = if as_http {
            self.http(&found)
        } else if self.port.speaks == Speaks::Tls {
            self.tls(&found)
        } else {
            self.tcp(&found)
        };
        chosen.unwrap_or(nobody)
    }

    /// The first rule that takes every request of this client and port; rules before it that look
    /// at requests make the route deep.
    fn http(&mut self, found: &Found) -> Option<Choice> {
        let mut depth = Depth::Connect;
        let chosen = self.http_rules(found, &mut depth);
        // Istio answers 404 when no rule fits. At connect nothing is known of the request, so the
        // service's own endpoints are kept; the finding says so.
        chosen.or_else(|| {
            (depth == Depth::Request).then(|| Choice {
                rule: name(found, "spec.http", None),
                depth,
                to: None,
            })
        })
    }

    fn http_rules(&mut self, found: &Found, depth: &mut Depth) -> Option<Choice> {
        for (index, rule) in found.spec.http.iter().enumerate() {
            let reach = self.http_reach(&rule.matches);
            match (reach, &rule.delegate) {
                (Reach::Nothing, _) => {}
                (Reach::Some, _) => *depth = Depth::Request,
                (Reach::All, Some(delegate)) => {
                    // The delegate's rules stand in the place of this one: where none of them
                    // fits, or there is no delegate, the next rule does.
                    let delegate = self.delegate(found, delegate);
                    let chosen = delegate.and_then(|inner| self.http_rules(&inner, depth));
                    if let Some(choice) = chosen {
                        let depth = choice.depth.max(depth_of(rule));
                        return Some(Choice { depth, ..choice });
                    }
                }
                (Reach::All, None) => {
                    let field = format!("spec.http[{index}]");
                    return Some(http_rule(found, rule, &field, *depth));
                }
            }
        }
        None
    }

    /// The delegate of a name, if the root's namespace sees it.
    fn delegate(&self, root: &Found, delegate: &Delegate) -> Option<Found> {
        let own = root.meta.namespace.as_str();
        let namespace = delegate.namespace.as_deref().unwrap_or(own);
        let found = self
            .world
            .virtual_services
            .delegate(namespace, &delegate.name)?;
        let is_seen = export::is_visible(&found.spec.export_to, &found.meta.namespace, Some(own));
        is_seen.then(|| Arc::clone(found))
    }

    fn tcp(&mut self, found: &Found) -> Option<Choice> {
        let (index, rule) = found.spec.tcp.iter().enumerate().find(|(_, rule)| {
            rule.matches.is_empty() || rule.matches.iter().any(|found| self.l4(found))
        })?;
        let to = rule
            .route
            .iter()
            .map(|to| {
                (
                    to.destination.clone(),
                    to.weight,
                    found.meta.namespace.clone(),
                )
            })
            .collect();
        let field = format!("spec.tcp[{index}]");
        Some(Choice {
            rule: name(found, &field, None),
            depth: Depth::Connect,
            to: Some(to),
        })
    }

    /// TLS rules look at the name in the ClientHello: until that is built, the service's own
    /// endpoints are kept.
    fn tls(&mut self, found: &Found) -> Option<Choice> {
        let (index, _) = found
            .spec
            .tls
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.matches.iter().any(|found| self.l4(&found.l4())))?;
        let field = format!("spec.tls[{index}]");
        Some(Choice {
            rule: name(found, &field, None),
            depth: Depth::Hello,
            to: None,
        })
    }

    fn l4(&self, found: &L4Match) -> bool {
        let subnets: Vec<Subnet> = found
            .destination_subnets
            .iter()
            .filter_map(|text| Subnet::parse(text))
            .collect();
        l4_static(found, self.client)
            && found
                .port
                .is_none_or(|port| port == u32::from(self.port.port.port))
            && (found.destination_subnets.is_empty()
                || subnets.iter().any(|subnet| {
                    self.service
                        .addresses
                        .iter()
                        .any(|&address| subnet.contains(address))
                }))
    }

    /// How much of what this client sends to this port a list of conditions takes.
    fn http_reach(&self, matches: &[HttpMatch]) -> Reach {
        if matches.is_empty() {
            return Reach::All;
        }
        let port = u32::from(self.port.port.port);
        let left = matches
            .iter()
            .filter(|found| http_static(found, self.client, port));
        left.map(|found| {
            if takes_every_request(found) {
                Reach::All
            } else {
                Reach::Some
            }
        })
        .max()
        .unwrap_or(Reach::Nothing)
    }

    /// The service itself as the only destination.
    fn own(&mut self) -> Destination {
        let written = WrittenDestination {
            host: self.service.name.clone(),
            ..WrittenDestination::default()
        };
        let namespace = self.service.object.meta.namespace.clone();
        let mut own = self.destination(&written, 1, &namespace);
        own.port = self.port.port.port;
        own.endpoints = self.service.endpoints(own.port, self.proto, &NO_LABELS);
        own
    }

    /// A destination, written in a resource of `namespace`.
    fn destination(
        &mut self,
        found: &WrittenDestination,
        weight: u32,
        namespace: &str,
    ) -> Destination {
        let settings = self.world.settings;
        let name = host::qualify(&found.host, namespace, &settings.domain).to_ascii_lowercase();
        self.consulted.insert(name.clone());
        let target = self.world.registry.hosts.get(&name);
        let of = target.map_or("", |target| target.object.meta.namespace.as_str());
        self.varies |= self.world.destination_rules.depends_on_client(&name, of);
        let rules = self.world.destination_rules.find(&name, of, self.client);
        let port = self.destination_port(found, target);
        let labels = match (&found.subset, rules) {
            (None, _) => Some(&NO_LABELS),
            (Some(subset), rules) => rules
                .and_then(|rules| rules.subset(subset))
                .map(|found| &found.labels),
        };
        let endpoints: Arc<[Endpoint]> = match (target, labels) {
            (Some(target), Some(labels)) => target.endpoints(port, self.proto, labels),
            // An unknown host or subset is a cluster that does not exist: connections are refused.
            _ => Arc::new([]),
        };
        let destination_rules = rules.map(|rules| rules.from.clone()).unwrap_or_default();
        Destination {
            host: name,
            port,
            subset: found.subset.clone().filter(|subset| !subset.is_empty()),
            weight,
            destination_rules,
            endpoints,
        }
    }

    /// The port that is named, else the only one there is, else the one that was dialled.
    fn destination_port(&self, found: &WrittenDestination, target: Option<&Arc<Host>>) -> u16 {
        let named = found.port.and_then(|port| u16::try_from(port.number).ok());
        let only = target.filter(|target| target.ports.len() == 1);
        named
            .or_else(|| only.map(|target| target.ports[0].port.port))
            .unwrap_or(self.port.port.port)
    }
}

fn http_rule(found: &Found, rule: &HttpRoute, field: &str, depth: Depth) -> Choice {
    let to: Vec<_> = rule
        .route
        .iter()
        .map(|to| {
            (
                to.destination.clone(),
                to.weight,
                found.meta.namespace.clone(),
            )
        })
        .collect();
    Choice {
        rule: name(found, field, rule.name.as_ref()),
        depth: depth.max(depth_of(rule)),
        to: (!to.is_empty()).then_some(to),
    }
}

fn depth_of(rule: &HttpRoute) -> Depth {
    if looks_at_requests(rule) {
        Depth::Request
    } else {
        Depth::Connect
    }
}

/// How much conditions take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nothing,
    Some,
    All,
}

fn name(found: &Found, field: &str, name: Option<&String>) -> Rule {
    Rule::VirtualService {
        object: found.reference(),
        field: field.to_owned(),
        name: name.cloned(),
        position: Some(found.place.position(field)),
    }
}

/// The part of an HTTP condition that is known before any request. With `gateways`, Istio does not
/// look at the client.
pub fn http_static(found: &HttpMatch, client: &Client<'_>, port: u32) -> bool {
    let source = if found.gateways.is_empty() {
        client.has(&found.source_labels) && of_namespace(found.source_namespace.as_ref(), client)
    } else {
        found.gateways.iter().any(|gateway| gateway == MESH)
    };
    source && found.port.is_none_or(|wanted| wanted == port)
}

/// The part of a TCP condition that depends on the client.
pub fn l4_static(found: &L4Match, client: &Client<'_>) -> bool {
    let on_mesh = found.gateways.is_empty() || found.gateways.iter().any(|gateway| gateway == MESH);
    on_mesh
        && client.has(&found.source_labels)
        && of_namespace(found.source_namespace.as_ref(), client)
}

fn of_namespace(wanted: Option<&String>, client: &Client<'_>) -> bool {
    let wanted = wanted.filter(|wanted| !wanted.is_empty());
    wanted.is_none_or(|wanted| client.namespace == Some(wanted.as_str()))
}

/// Whether a condition says nothing of the request: Istio's catch-all.
pub fn takes_every_request(found: &HttpMatch) -> bool {
    let every_path = |uri: &StringMatch| {
        uri.prefix.as_deref() == Some("/")
            || uri.prefix.as_deref() == Some("")
            || uri.regex.as_deref() == Some(".*")
            || uri.regex.as_deref() == Some("*")
    };
    found.uri.as_ref().is_none_or(every_path)
        && found.scheme.is_none()
        && found.method.is_none()
        && found.authority.is_none()
        && found.headers.is_empty()
        && found.without_headers.is_empty()
        && found.query_params.is_empty()
}

/// Whether a rule does something to requests that connect cannot.
pub fn looks_at_requests(rule: &HttpRoute) -> bool {
    rule.redirect.is_some()
        || rule.direct_response.is_some()
        || rule.rewrite.is_some()
        || rule.timeout.is_some()
        || rule
            .retries
            .as_ref()
            .is_some_and(|found| found.attempts != 0)
        || rule.fault.is_some()
        || rule.cors_policy.is_some()
        || rule.headers.is_some()
        || rule.route.iter().any(|to| to.headers.is_some())
}
