//! Client classes: pods for which the rules have the same outcome.

use std::collections::{BTreeMap, BTreeSet};

use steer_common::service::ClassId;

use super::{
    client::{Asked, Client, Labels, contains},
    model::{Destination, PodRef, View},
    pods::Pods,
    route::World,
};
use crate::source::Snapshot;

/// What rules may ask of a client.
#[derive(Debug, Default)]
pub(super) struct Questions<'w> {
    namespaces: BTreeSet<&'w str>,
    selectors: BTreeSet<&'w Labels>,
}

impl<'w> Questions<'w> {
    /// Of everything that is written.
    pub(super) fn of(world: World<'w>) -> Self {
        let mut this = Self::default();
        for host in world.registry.hosts.values() {
            this.namespaces.extend(host.visibility.namespaces());
        }
        for prepared in &world.virtual_services.all {
            this.namespaces.extend(prepared.visibility.namespaces());
            let spec = &prepared.object.spec;
            for one in prepared.http.iter().flat_map(|rule| &rule.route().matches) {
                this.add(one.source_namespace.as_ref(), &one.source_labels);
            }
            for one in spec.tcp.iter().flat_map(|rule| &rule.matches) {
                this.add(one.source_namespace.as_ref(), &one.source_labels);
            }
            for one in spec.tls.iter().flat_map(|rule| &rule.matches) {
                this.add(one.source_namespace.as_ref(), &one.source_labels);
            }
        }
        for rule in world.destination_rules.all() {
            this.namespaces.extend(rule.visibility.namespaces());
            this.namespaces.insert(&rule.namespace);
            this.selectors.extend(&rule.selector);
        }
        this
    }

    fn add(&mut self, namespace: Option<&'w String>, selector: &'w Labels) {
        let named = namespace.filter(|name| !name.is_empty());
        self.namespaces.extend(named.map(String::as_str));
        if !selector.is_empty() {
            self.selectors.insert(selector);
        }
    }

    /// Of a client, as much as any rule can tell apart.
    fn signature(&self, namespace: &str, labels: &Labels) -> Signature {
        let held = self
            .selectors
            .iter()
            .filter(|selector| contains(labels, selector));
        let pairs = held.flat_map(|selector| selector.iter());
        Signature {
            namespace: self
                .namespaces
                .get(namespace)
                .map(|name| (*name).to_owned()),
            labels: pairs
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

/// As much of a client as any rule can tell apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Signature {
    namespace: Option<String>,
    labels: Labels,
}

impl Signature {
    /// A client that stands for all with this signature.
    pub(super) fn client(&self) -> Client<'_> {
        Client::new(self.namespace.as_deref(), &self.labels)
    }

    /// A class by what held of it: of two clients to whom the same was asked and held, both see
    /// the same. What nothing asked is left out, so that the class stays when other rules change.
    pub(super) fn text(&self, asked: &Asked) -> String {
        let namespace = self.namespace.as_ref().filter(|_| asked.namespace);
        let namespace = namespace.map(|name| format!("namespace={name}"));
        let parts: Vec<String> = namespace
            .into_iter()
            .chain(asked.selectors.iter().cloned())
            .collect();
        parts.join(";")
    }
}

/// The pods of this node, by signature.
pub(super) fn signatures(
    snapshot: &Snapshot,
    world: World<'_>,
    local: &BTreeSet<PodRef>,
) -> BTreeMap<Signature, Vec<PodRef>> {
    if local.is_empty() {
        return BTreeMap::new();
    }
    let questions = Questions::of(world);
    let pods = Pods::new(&snapshot.pods);
    let mut groups: BTreeMap<Signature, Vec<PodRef>> = BTreeMap::new();
    for name in local {
        if let Some(pod) = pods.named(&name.namespace, &name.name) {
            let signature = questions.signature(&name.namespace, &pod.meta.labels);
            groups.entry(signature).or_default().push(name.clone());
        }
    }
    groups
}

/// Whether two views lead connections to the same places. A DestinationRule that changes nothing
/// is not worth a row.
pub(super) fn same_effect(a: &View, b: &View) -> bool {
    match (a, b) {
        (View::Hidden, View::Hidden) => true,
        (View::Route(a), View::Route(b)) => {
            (a.depth, a.auto) == (b.depth, b.auto)
                && a.rule == b.rule
                && same_destinations(&a.destinations, &b.destinations)
                && a.requests.len() == b.requests.len()
                && a.requests.iter().zip(&b.requests).all(|(a, b)| {
                    (&a.rule, &a.written) == (&b.rule, &b.written)
                        && same_destinations(&a.destinations, &b.destinations)
                })
        }
        _ => false,
    }
}

fn same_destinations(a: &[Destination], b: &[Destination]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (&a.host, a.port, &a.subset, a.weight, &a.endpoints)
                == (&b.host, b.port, &b.subset, b.weight, &b.endpoints)
        })
}

/// A number for a class that depends on nothing but its text, so that it stays when other classes
/// come and go. Numbers in `taken` belong to other texts.
pub(super) fn number(text: &str, taken: &BTreeMap<ClassId, String>) -> ClassId {
    // FNV-1a, 32 bits.
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let mut number = hash.max(1);
    while taken.get(&number).is_some_and(|other| other != text) {
        number = number.wrapping_add(1).max(1);
    }
    number
}

#[cfg(test)]
mod tests;
