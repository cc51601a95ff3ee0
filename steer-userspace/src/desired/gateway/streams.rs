//! Rules for bytes: TLS that passes through goes by the name that is asked for, everything else by
//! the first `tcp` rule that holds.

use std::collections::BTreeSet;

use super::{
    model::{Chain, Inside, Stream},
    names,
    servers::Placed,
};
use crate::{
    desired::{
        client::Client,
        destinations::{Destinations, rule_name},
        matching::{tcp_holds, tls_holds},
        report::Report,
        route::World,
        virtual_services::Prepared,
    },
    source::istio::WeightedDestination,
};

/// Chains for the names of `tls` rules; of several rules for a name, the first has it.
pub(super) fn of_names(
    world: World<'_>,
    placed: Placed<'_>,
    report: &mut Report,
    chains: &mut Vec<Chain>,
) {
    let known = chains.iter().flat_map(|chain| chain.names.iter().cloned());
    let mut taken: BTreeSet<String> = known.collect();
    let gateway = names::of(placed.gateway);
    for prepared in bound(world, placed, &gateway) {
        let client = client(placed, &gateway);
        let namespace = &prepared.object.meta.namespace;
        for (index, rule) in prepared.object.spec.tls.iter().enumerate() {
            let holds = rule.matches.iter();
            let holds = holds.filter(|one| tls_holds(one, &client, placed.door.number, namespace));
            let names = holds.flat_map(|one| &one.sni_hosts);
            let names = names.map(|name| name.to_ascii_lowercase());
            let names: Vec<String> = names.filter(|name| taken.insert(name.clone())).collect();
            if names.is_empty() {
                continue;
            }
            let field = format!("spec.tls[{index}]");
            if let Some(stream) = stream(world, placed, prepared, &field, &rule.route, report) {
                let inside = Inside::Passed(stream);
                chains.push(Chain { names, inside });
            }
        }
    }
}

/// The rule for other bytes.
pub(super) fn of_bytes(
    world: World<'_>,
    placed: Placed<'_>,
    report: &mut Report,
) -> Option<Stream> {
    let gateway = names::of(placed.gateway);
    let client = client(placed, &gateway);
    bound(world, placed, &gateway).find_map(|prepared| {
        let namespace = &prepared.object.meta.namespace;
        let mut rules = prepared.object.spec.tcp.iter().enumerate();
        let (index, rule) = rules.find(|(_, rule)| {
            let mut matches = rule.matches.iter();
            rule.matches.is_empty()
                || matches.any(|one| tcp_holds(one, &client, placed.door.number, namespace))
        })?;
        let field = format!("spec.tcp[{index}]");
        stream(world, placed, prepared, &field, &rule.route, report)
    })
}

fn client<'p>(placed: Placed<'p>, gateway: &'p str) -> Client<'p> {
    let service = placed.door.service;
    Client::at_gateway(&service.meta.namespace, &service.spec.selector, gateway)
}

/// The VirtualServices that have hosts in common with a server.
fn bound<'p>(
    world: World<'p>,
    placed: Placed<'p>,
    gateway: &'p str,
) -> impl Iterator<Item = &'p Prepared> {
    let namespace = placed.door.service.meta.namespace.as_str();
    let all = world.virtual_services.bound(namespace, gateway);
    all.filter(move |prepared| {
        let owner = &prepared.object.meta.namespace;
        let hosts = &prepared.hosts;
        !names::common_hosts(placed.gateway, placed.server(), owner, hosts).is_empty()
    })
}

fn stream(
    world: World<'_>,
    placed: Placed<'_>,
    prepared: &Prepared,
    field: &str,
    route: &[WeightedDestination],
    report: &mut Report,
) -> Option<Stream> {
    let gateway = names::of(placed.gateway);
    let client = client(placed, &gateway);
    let mut destinations = Destinations::new(world, &client, placed.door.number);
    let to: Vec<_> = route
        .iter()
        .map(|to| (&to.destination, to.weight))
        .collect();
    let object = &*prepared.object;
    let weights = destinations.weights(object, field, &to);
    let found = weights.map(|weights| destinations.all(object, field, &to, weights));
    report.found.append(&mut destinations.report.found);
    Some(Stream {
        rule: rule_name(object, field, None),
        destinations: found?,
    })
}
