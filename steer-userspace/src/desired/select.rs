//! Which rule a client's connections to a service port follow.

use std::sync::Arc;

use steer_common::service::Depth;

use super::{
    client::Client,
    matching::{self, Coverage},
    protocol::RuleList,
    registry::{Host, HostPort},
    settings::SplitMode,
    unenforced,
    virtual_services::{HttpRule, Prepared, VirtualServices},
};
use crate::source::{
    istio::{Destination, HttpMatch, VirtualService},
    object::Object,
};

/// A rule, whatever its list.
#[derive(Clone, Debug)]
pub struct Chosen<'s> {
    /// Where it stands.
    pub object: &'s Arc<Object<VirtualService>>,
    /// The field there.
    pub field: String,
    /// Its name.
    pub name: Option<&'s str>,
    /// Its destinations and their weights; empty if it answers by itself.
    pub destinations: Vec<(&'s Destination, i64)>,
    /// How deep one must look to enforce it in full.
    pub depth: Depth,
    /// Of `http` rules: those that take some of the requests, and this one as the last.
    pub requests: Vec<&'s HttpRule>,
    /// What its VirtualService says of when a destination is drawn.
    pub split: Option<SplitMode>,
}

/// What a VirtualService says about a port.
#[derive(Clone, Debug)]
pub enum Choice<'s> {
    /// This rule.
    Rule(Chosen<'s>),
    /// No rule takes everything; a deeper look would find those that take some.
    NoCatchAll {
        /// Of which VirtualService.
        prepared: &'s Prepared,
        /// The list: `http` or `tls`.
        list: &'static str,
        /// How deep.
        depth: Depth,
        /// Of `http` rules: those that take some of the requests.
        requests: Vec<&'s HttpRule>,
    },
}

/// What the client of a port is asked for and by.
#[derive(Clone, Copy)]
pub struct Dial<'s> {
    /// The service.
    pub service: &'s Host,
    /// Its port.
    pub port: &'s HostPort,
    /// Who dials.
    pub client: &'s Client<'s>,
}

/// The first VirtualService that the client sees decides alone; where none of its rules holds, and
/// without one, the service itself does.
pub fn choose<'s>(all: &'s VirtualServices, dial: Dial<'s>) -> Option<Choice<'s>> {
    let list = dial.port.protocol.rule_list();
    if list == RuleList::None {
        return None;
    }
    let mut found = all.of_host(&dial.service.name);
    let prepared = found.find(|prepared| dial.client.sees(&prepared.visibility))?;
    match list {
        RuleList::Http => http(prepared, dial),
        RuleList::Tls => tls(prepared, dial),
        RuleList::Tcp => tcp(prepared, dial),
        RuleList::Sniffed => http(prepared, dial).or_else(|| tcp(prepared, dial)),
        RuleList::None => None,
    }
}

fn http<'s>(prepared: &'s Prepared, dial: Dial<'s>) -> Option<Choice<'s>> {
    let (requests, whole) = taking(prepared, dial.client, dial.port.port.port);
    let &rule = requests.last()?;
    if !whole {
        return Some(Choice::NoCatchAll {
            prepared,
            list: "http",
            depth: Depth::Request,
            requests,
        });
    }
    let alone = requests.len() == 1;
    let deep = !alone || unenforced::takes_requests(rule.route());
    let copied = !deep && unenforced::is_copied(rule.route());
    let by_proxy = copied && !dial.port.protocol.is_read_on_its_way();
    Some(Choice::Rule(Chosen {
        object: &rule.object,
        field: rule.field.clone(),
        name: rule.route().name.as_deref(),
        destinations: destinations(rule),
        depth: if deep || by_proxy {
            Depth::Request
        } else {
            Depth::Connect
        },
        requests,
        split: SplitMode::of(&prepared.object),
    }))
}

/// The rules that take requests of a client, and whether the last one takes all the others leave.
pub(super) fn taking<'s>(
    prepared: &'s Prepared,
    client: &Client<'_>,
    port: u16,
) -> (Vec<&'s HttpRule>, bool) {
    let mut taking = Vec::new();
    for rule in &prepared.http {
        let mut holding = holding(rule, client, port).peekable();
        let matches = &rule.route().matches;
        if !matches.is_empty() && holding.peek().is_none() {
            continue;
        }
        taking.push(rule);
        if matches.is_empty() || holding.any(|one| !matching::needs_requests(one)) {
            return (taking, true);
        }
    }
    (taking, false)
}

/// The matches of a rule whose static part holds.
pub(super) fn holding<'s>(
    rule: &'s HttpRule,
    client: &Client<'_>,
    port: u16,
) -> impl Iterator<Item = &'s HttpMatch> {
    let namespace = &rule.object.meta.namespace;
    let matches = rule.route().matches.iter();
    matches.filter(move |one| matching::http_holds(one, client, port, namespace))
}

/// Where a rule leads, and with which weights.
pub(super) fn destinations(rule: &HttpRule) -> Vec<(&Destination, i64)> {
    let to = rule.route().route.iter();
    to.map(|to| (&to.destination, to.weight)).collect()
}

fn tcp<'s>(prepared: &'s Prepared, dial: Dial<'s>) -> Option<Choice<'s>> {
    let addresses = &dial.service.addresses;
    let namespace = &prepared.object.meta.namespace;
    let rules = prepared.object.spec.tcp.iter().enumerate();
    let mut fitting = rules.filter(|(_, rule)| {
        rule.matches.is_empty()
            || rule.matches.iter().any(|one| {
                matching::coverage(&one.destination_subnets, addresses) != Coverage::None
                    && matching::tcp_holds(one, dial.client, dial.port.port.port, namespace)
            })
    });
    let (index, rule) = fitting.next()?;
    Some(Choice::Rule(Chosen {
        object: &prepared.object,
        field: format!("spec.tcp[{index}]"),
        name: None,
        destinations: rule
            .route
            .iter()
            .map(|to| (&to.destination, to.weight))
            .collect(),
        depth: Depth::Connect,
        requests: Vec::new(),
        split: None,
    }))
}

/// A connection to the service's address most likely carries the service's name: the first rule
/// that takes this name is enforced for all of them.
fn tls<'s>(prepared: &'s Prepared, dial: Dial<'s>) -> Option<Choice<'s>> {
    let mut other_names = false;
    let namespace = &prepared.object.meta.namespace;
    for (index, rule) in prepared.object.spec.tls.iter().enumerate() {
        let holding = rule.matches.iter().filter(|one| {
            matching::coverage(&one.destination_subnets, &dial.service.addresses) != Coverage::None
                && matching::tls_holds(one, dial.client, dial.port.port.port, namespace)
        });
        for one in holding {
            if matching::sni_takes(&one.sni_hosts, &dial.service.names()) {
                let every_name = one.sni_hosts.iter().any(|pattern| pattern == "*");
                let deep = other_names || !every_name;
                return Some(Choice::Rule(Chosen {
                    object: &prepared.object,
                    field: format!("spec.tls[{index}]"),
                    name: None,
                    destinations: rule
                        .route
                        .iter()
                        .map(|to| (&to.destination, to.weight))
                        .collect(),
                    depth: if deep { Depth::Hello } else { Depth::Connect },
                    requests: Vec::new(),
                    split: None,
                }));
            }
            other_names = true;
        }
    }
    other_names.then_some(Choice::NoCatchAll {
        prepared,
        list: "tls",
        depth: Depth::Hello,
        requests: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
