//! What each host of the registry lets its clients reach: addresses, endpoints, names.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use steer_common::Proto;

use super::model::{Check, Group, GroupName, PortKey, PortRule};
use crate::{
    desired::{
        model::{Rule, Service, View},
        protocol::Protocol,
        registry::{Host, HostPort, Origin, entries::Entry},
    },
    source::{istio::Resolution, subnet::Subnet},
};

/// What one host lets its clients reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// The host.
    pub(super) host: String,
    /// Whose it is.
    pub(super) namespace: String,
    /// Networks and addresses, with the ports there.
    pub(super) nets: Vec<(Subnet, Arc<Group>)>,
    /// A name or wildcard that clients look up, with its ports.
    pub(super) name: Option<Arc<Group>>,
}

type Ports = BTreeMap<PortKey, PortRule>;

/// Of a Service of Kubernetes: its addresses, all endpoints, and wherever its routes lead.
pub(super) fn of_service(host: &Host, routes: &Service, shown: impl Fn(u16) -> bool) -> Part {
    let rule = Arc::new(registry_rule(&host.origin));
    let mut own = Ports::new();
    let mut at: BTreeMap<IpAddr, Ports> = BTreeMap::new();
    for (port, routed) in host.ports.iter().zip(&routes.ports) {
        if !shown(port.port.port) {
            continue;
        }
        own.insert(key(port.proto, port.port.port), anything(&rule));
        let listed = port.candidates.iter().map(|found| &found.endpoint);
        let led_to = routed.views.values().flat_map(|view| match view {
            View::Route(route) => route.destinations.as_slice(),
            View::Hidden => &[],
        });
        let led_to = led_to.flat_map(|found| found.endpoints.iter());
        for endpoint in listed.chain(led_to) {
            let ports = at.entry(endpoint.ip).or_default();
            ports.insert(key(port.proto, endpoint.port), anything(&rule));
        }
    }
    let addresses = host.addresses.iter().copied();
    let mut nets = Nets::new(&host.name);
    for address in addresses.chain(host.lost.iter().map(|(address, _)| *address)) {
        nets.add(Subnet::of(address), &own);
    }
    for (address, ports) in &at {
        nets.add(Subnet::of(*address), ports);
    }
    // Where DNS leads clients elsewhere, the name is all there is.
    let by_name = host.is_external_name() && !own.is_empty();
    Part {
        host: host.name.clone(),
        namespace: host.namespace().to_owned(),
        nets: nets.found,
        name: by_name.then(|| named(&host.name, own)),
    }
}

/// Of one host of a ServiceEntry.
pub(super) fn of_entry(
    entry: &Entry,
    routes: Option<&Service>,
    shown: impl Fn(u16) -> bool,
) -> Part {
    let rule = Arc::new(registry_rule(&Origin::Entry(Arc::clone(&entry.object))));
    let (mut own, mut by_name) = (Ports::new(), Ports::new());
    let mut at: BTreeMap<IpAddr, Ports> = BTreeMap::new();
    for (index, port) in entry.ports.iter().enumerate() {
        if !shown(port.port.port) {
            continue;
        }
        let allowed = PortRule {
            check: check(port.protocol),
            rule: Arc::clone(&rule),
        };
        let number = key(port.proto, port.port.port);
        if by_dns(entry, port) {
            by_name.insert(number, allowed.clone());
        }
        own.insert(number, allowed.clone());
        let listed = port.candidates.iter().map(|found| &found.endpoint);
        // What the agent resolved is granted to the name, for as long as it holds.
        let listed = listed.filter(|_| entry.resolve.is_empty() || entry.resolves_elsewhere());
        let routed = routes.and_then(|routes| routes.ports.get(index));
        let led_to = routed.into_iter().flat_map(|port| port.views.values());
        let led_to = led_to.flat_map(|view| match view {
            View::Route(route) => route.destinations.as_slice(),
            View::Hidden => &[],
        });
        let elsewhere = led_to.filter(|found| found.host != entry.host);
        let elsewhere = elsewhere.flat_map(|found| found.endpoints.iter());
        for endpoint in listed.chain(elsewhere) {
            let ports = at.entry(endpoint.ip).or_default();
            ports.insert(key(port.proto, endpoint.port), allowed.clone());
        }
        if entry.resolve.contains(&entry.host) {
            // A steered address leads to what the name resolves to, on its target port.
            for endpoint in port.candidates.iter().map(|found| &found.endpoint) {
                by_name.insert(key(port.proto, endpoint.port), allowed.clone());
            }
        }
    }
    let mut nets = Nets::new(&entry.host);
    for net in &entry.nets {
        nets.add(net.network(), &own);
    }
    for (address, ports) in &at {
        nets.add(Subnet::of(*address), ports);
    }
    Part {
        host: entry.host.clone(),
        namespace: entry.namespace().to_owned(),
        nets: nets.found,
        name: (!by_name.is_empty()).then(|| named(&entry.host, by_name)),
    }
}

impl Entry {
    /// Whether its endpoints have names of their own.
    fn resolves_elsewhere(&self) -> bool {
        self.resolve.iter().any(|name| *name != self.host)
    }
}

/// Whether what DNS answers for the host may be reached on this port. With addresses, and nothing
/// to tell the host by in the first bytes, only they are meant.
fn by_dns(entry: &Entry, port: &HostPort) -> bool {
    let by_address = [Resolution::None, Resolution::Static].contains(&entry.resolution);
    entry.nets.is_empty() || !by_address || check(port.protocol) != Check::Address
}

/// How a port's host is told. HTTP/2 in clear text says it where only its own parser could read it.
pub(super) fn check(protocol: Protocol) -> Check {
    match protocol {
        Protocol::Http => Check::Host,
        Protocol::Https | Protocol::Tls => Check::Sni,
        _ => Check::Address,
    }
}

fn key(proto: Proto, port: u16) -> PortKey {
    PortKey { proto, port }
}

fn anything(rule: &Arc<Rule>) -> PortRule {
    PortRule {
        check: Check::Address,
        rule: Arc::clone(rule),
    }
}

fn named(host: &str, ports: Ports) -> Arc<Group> {
    Arc::new(Group {
        name: Arc::new(GroupName::Name(host.to_owned())),
        ports,
    })
}

/// What stands for the object that wrote a host.
fn registry_rule(origin: &Origin) -> Rule {
    let (object, position) = match origin {
        Origin::Service(object) => (object.reference(), object.place.position("")),
        Origin::Entry(object) => (object.reference(), object.place.position("")),
    };
    Rule::Object {
        object,
        field: String::new(),
        position: Some(position),
    }
}

/// Collects networks; those with the same ports share them.
struct Nets<'h> {
    host: &'h str,
    groups: BTreeMap<Ports, Arc<Group>>,
    found: Vec<(Subnet, Arc<Group>)>,
}

impl<'h> Nets<'h> {
    fn new(host: &'h str) -> Self {
        Self {
            host,
            groups: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    fn add(&mut self, net: Subnet, ports: &Ports) {
        if ports.is_empty() {
            return;
        }
        let host = self.host;
        let group = self.groups.entry(ports.clone()).or_insert_with(|| {
            Arc::new(Group::of_addresses([host.to_owned()].into(), ports.clone()))
        });
        self.found.push((net, Arc::clone(group)));
    }
}
