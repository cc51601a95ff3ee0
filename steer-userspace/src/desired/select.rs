//! Which rule a client's connections to a service port follow.

use std::sync::Arc;

use steer_common::service::Depth;

use super::{
    client::Client,
    matching::{self, Coverage},
    protocol::RuleList,
    registry::{Host, HostPort},
    unenforced,
    virtual_services::{Prepared, VirtualServices},
};
use crate::source::{
    istio::{Destination, VirtualService},
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
    let mut passed_requests = false;
    for rule in &prepared.http {
        let matches = &rule.route().matches;
        let mut holding = matches
            .iter()
            .filter(|one| matching::http_holds(one, dial.client, dial.port.port.port))
            .peekable();
        let survives = matches.is_empty() || holding.peek().is_some();
        let catch_all = matches.is_empty() || holding.any(|one| !matching::needs_requests(one));
        if catch_all {
            let deep = passed_requests || !unenforced::request_fields(rule.route()).is_empty();
            return Some(Choice::Rule(Chosen {
                object: &rule.object,
                field: rule.field.clone(),
                name: rule.route().name.as_deref(),
                destinations: rule
                    .route()
                    .route
                    .iter()
                    .map(|to| (&to.destination, to.weight))
                    .collect(),
                depth: if deep { Depth::Request } else { Depth::Connect },
            }));
        }
        passed_requests |= survives;
    }
    passed_requests.then_some(Choice::NoCatchAll {
        prepared,
        list: "http",
        depth: Depth::Request,
    })
}

fn tcp<'s>(prepared: &'s Prepared, dial: Dial<'s>) -> Option<Choice<'s>> {
    let addresses = &dial.service.addresses;
    let rules = prepared.object.spec.tcp.iter().enumerate();
    let mut fitting = rules.filter(|(_, rule)| {
        rule.matches.is_empty()
            || rule.matches.iter().any(|one| {
                matching::coverage(&one.destination_subnets, addresses) != Coverage::None
                    && matching::tcp_holds(one, dial.client, dial.port.port.port)
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
    }))
}

/// A connection to the service's address most likely carries the service's name: the first rule
/// that takes this name is enforced for all of them.
fn tls<'s>(prepared: &'s Prepared, dial: Dial<'s>) -> Option<Choice<'s>> {
    let mut other_names = false;
    for (index, rule) in prepared.object.spec.tls.iter().enumerate() {
        let holding = rule.matches.iter().filter(|one| {
            matching::coverage(&one.destination_subnets, &dial.service.addresses) != Coverage::None
                && matching::tls_holds(one, dial.client, dial.port.port.port)
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
                }));
            }
            other_names = true;
        }
    }
    other_names.then_some(Choice::NoCatchAll {
        prepared,
        list: "tls",
        depth: Depth::Hello,
    })
}

#[cfg(test)]
mod tests;
