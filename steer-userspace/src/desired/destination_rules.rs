//! Which DestinationRule a client uses for a host.
//!
//! Three levels: the client's namespace, the service's, the root; the first with a rule for the
//! host counts, and levels are not merged. In each the most specific host counts. Rules of one
//! namespace for one host are merged where they agree on whom they are for.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    client::{Client, Labels},
    export::Visibility,
    host::{self, HostIndex},
};
use crate::{
    finding::ObjectRef,
    source::{
        Object,
        istio::{DestinationRule, Subset},
    },
};

/// Rules for one host in one namespace that count as one.
#[derive(Clone, Debug)]
pub struct Merged {
    /// What it was merged from, the oldest first.
    pub from: Vec<ObjectRef>,
    /// Its namespace.
    pub namespace: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// The clients it is for; all if there is none.
    pub selector: Option<Labels>,
    /// The first definition of each subset, in order.
    pub subsets: Vec<Subset>,
}

impl Merged {
    /// The subset of a name.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets.iter().find(|subset| subset.name == name)
    }

    fn add(&mut self, object: &Object<DestinationRule>) {
        self.from.push(object.reference());
        for subset in &object.spec.subsets {
            if self.subset(&subset.name).is_none() {
                self.subsets.push(subset.clone());
            }
        }
    }

    /// Whether every client of its own namespace gets what one from elsewhere gets.
    fn is_plain(&self) -> bool {
        self.visibility == Visibility::Everyone && self.selector.is_none()
    }
}

/// The rules of one namespace for one host, merged for each level of the look-up by itself.
#[derive(Clone, Debug, Default)]
struct OfNamespace {
    /// Whoever sees them.
    all: Vec<Merged>,
    /// Those that clients at home see.
    own: Vec<Merged>,
    /// Those that nobody else sees, for clients at home in the root namespace.
    private: Vec<Merged>,
    /// Those that others see.
    exported: Vec<Merged>,
}

impl OfNamespace {
    fn add(&mut self, object: &Object<DestinationRule>) {
        let namespace = &object.meta.namespace;
        let export_to = object.spec.export_to.iter().map(String::as_str);
        // One that selects clients selects those of its own namespace only.
        let visibility = match object.spec.workload_selector {
            Some(_) => Visibility::new(["."], namespace),
            None => Visibility::new(export_to, namespace),
        };
        merge(&mut self.all, object, &visibility);
        if visibility.includes(Some(namespace)) {
            merge(&mut self.own, object, &visibility);
        }
        if visibility.is_private(namespace) {
            merge(&mut self.private, object, &visibility);
        } else {
            merge(&mut self.exported, object, &visibility);
        }
    }

    fn level(&self, level: Level) -> &[Merged] {
        match level {
            Level::Own => &self.own,
            Level::Private => &self.private,
            Level::Exported => &self.exported,
        }
    }
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct DestinationRules {
    /// By host pattern and namespace.
    by_host: HostIndex<BTreeMap<String, OfNamespace>>,
    root: String,
}

/// Which rules of a namespace a level of the look-up looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Own,
    Private,
    Exported,
}

/// What a level of the look-up says.
enum Found<'r> {
    /// Nothing: the next one is asked.
    Nothing,
    /// This rule, or that there are some and none is for the client.
    Rule(Option<&'r Merged>),
}

impl DestinationRules {
    /// Sorts rules in, which are in Istio's order; `root` is the root namespace.
    pub fn new(rules: &[Arc<Object<DestinationRule>>], domain: &str, root: &str) -> Self {
        let mut by_host: HostIndex<BTreeMap<String, OfNamespace>> = HostIndex::default();
        for object in rules {
            let namespace = &object.meta.namespace;
            let host = host::full_name(&object.spec.host, namespace, domain);
            let of_host = by_host.entry(&host);
            of_host.entry(namespace.clone()).or_default().add(object);
        }
        Self {
            by_host,
            root: root.to_owned(),
        }
    }

    /// The rule that `client` uses for `host`, a service of namespace `service`.
    pub fn lookup(
        &self,
        client: &Client<'_>,
        host: &str,
        service: Option<&str>,
    ) -> Option<&Merged> {
        if self.by_host.is_empty() {
            return None;
        }
        if let Some(home) = client.one_of(self.homes(host, service)) {
            let level = if home == self.root {
                Level::Private
            } else {
                Level::Own
            };
            if let Found::Rule(rule) = self.level(client, host, home, level) {
                return rule;
            }
        }
        for namespace in service.into_iter().chain([self.root.as_str()]) {
            if let Found::Rule(rule) = self.level(client, host, namespace, Level::Exported) {
                return rule;
            }
        }
        None
    }

    /// Namespaces whose own clients may get another rule than clients from elsewhere.
    fn homes(&self, host: &str, service: Option<&str>) -> Vec<&str> {
        let mut homes = Vec::new();
        for of_host in self.by_host.all(host) {
            for (namespace, rules) in of_host {
                let namespace = namespace.as_str();
                let looked_at_anyway = Some(namespace) == service || namespace == self.root;
                let same = looked_at_anyway && rules.all.iter().all(Merged::is_plain);
                if !same && !homes.contains(&namespace) {
                    homes.push(namespace);
                }
            }
        }
        homes
    }

    /// What a level says.
    fn level(&self, client: &Client<'_>, host: &str, namespace: &str, level: Level) -> Found<'_> {
        let rules = self
            .by_host
            .all(host)
            .filter_map(|of_host| of_host.get(namespace))
            .map(|rules| rules.level(level))
            .find(|rules| !rules.is_empty());
        let rules = rules.unwrap_or_default();
        let visible: Vec<&Merged> = rules
            .iter()
            .filter(|rule| level != Level::Exported || client.sees(&rule.visibility))
            .collect();
        if visible.is_empty() {
            return Found::Nothing;
        }
        let selected = visible.iter().find(|rule| {
            let labels = rule.selector.as_ref();
            labels.is_some_and(|labels| client.is_in(namespace) && client.has(labels))
        });
        // Of those kept apart the youngest counts, as in Istio.
        let general = || visible.iter().rfind(|rule| rule.selector.is_none());
        Found::Rule(selected.or_else(general).copied())
    }

    /// The rules for a host, in any namespace.
    pub fn of_host(&self, host: &str) -> impl Iterator<Item = &Merged> {
        self.by_host
            .all(host)
            .flat_map(|of_host| of_host.values().flat_map(|rules| &rules.all))
    }

    /// All rules.
    pub fn all(&self) -> impl Iterator<Item = &Merged> {
        let hosts = self.by_host.values();
        hosts.flat_map(|of_host| of_host.values().flat_map(|rules| &rules.all))
    }
}

/// Adds a rule to those of its host and namespace. It joins those that are for the same clients,
/// and older ones that fewer see; unless it joined one that the same see it stands for itself too.
fn merge(rules: &mut Vec<Merged>, object: &Object<DestinationRule>, visibility: &Visibility) {
    let selector = object.spec.workload_selector.as_ref();
    let selector = selector.map(|selector| &selector.match_labels);
    let mut alone = true;
    for rule in rules.iter_mut() {
        if rule.selector.as_ref() == selector && visibility.covers(&rule.visibility) {
            rule.add(object);
            alone &= rule.visibility != *visibility;
        }
    }
    if alone {
        let mut rule = Merged {
            from: Vec::new(),
            namespace: object.meta.namespace.clone(),
            visibility: visibility.clone(),
            selector: selector.cloned(),
            subsets: Vec::new(),
        };
        rule.add(object);
        rules.push(rule);
    }
}

#[cfg(test)]
mod tests;
