//! Which DestinationRule a client uses for a host.
//!
//! Looked up in the client's namespace, then in the service's, then in the root namespace; the
//! first level with a hit wins, and levels are not merged. Rules of one namespace for one host
//! with the same `exportTo` are merged: subsets are united, the first definition of a name wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{client::Client, export, host};
use crate::{
    finding::ObjectRef,
    source::{
        Object,
        istio::{DestinationRule, Subset, TrafficPolicy, WorkloadSelector},
    },
};

/// Rules of one namespace for one host, merged.
#[derive(Clone, Debug)]
pub struct Merged {
    /// What it is made of, oldest first.
    pub from: Vec<ObjectRef>,
    /// The namespace.
    pub namespace: String,
    /// The host, qualified.
    pub host: String,
    /// Who sees it.
    pub export_to: BTreeSet<String>,
    /// Which clients of its namespace it holds for.
    pub selector: Option<WorkloadSelector>,
    /// Its subsets, by the order of definition.
    pub subsets: Vec<Subset>,
    /// The policy of the oldest rule that has one.
    pub traffic_policy: Option<TrafficPolicy>,
}

impl Merged {
    /// The subset of a name.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets.iter().find(|subset| subset.name == name)
    }

    fn is_visible(&self, namespace: Option<&str>) -> bool {
        let scopes: Vec<&String> = self.export_to.iter().collect();
        export::is_visible(&scopes, &self.namespace, namespace)
    }
}

/// Rules by host.
#[derive(Clone, Debug, Default)]
struct ByHost {
    exact: BTreeMap<String, Vec<Merged>>,
    /// Most specific first, once all rules are in.
    wildcard: Vec<(String, Vec<Merged>)>,
}

impl ByHost {
    fn add(&mut self, object: &Object<DestinationRule>, name: &str, export_to: &BTreeSet<String>) {
        let rules = if name.starts_with('*') {
            let known = self.wildcard.iter().position(|(found, _)| found == name);
            let index = known.unwrap_or_else(|| {
                self.wildcard.push((name.to_owned(), Vec::new()));
                self.wildcard.len() - 1
            });
            &mut self.wildcard[index].1
        } else {
            self.exact.entry(name.to_owned()).or_default()
        };
        merge(rules, object, name, export_to);
    }

    fn sort(&mut self) {
        self.wildcard
            .sort_by(|(a, _), (b, _)| host::specificity(a).cmp(&host::specificity(b)));
    }

    /// The rules of the most specific host that covers `name`.
    fn of_host(&self, name: &str) -> &[Merged] {
        let exact = self.exact.get(name);
        let wildcard = || {
            let mut all = self.wildcard.iter();
            all.find(|(pattern, _)| host::covers(pattern, name))
        };
        exact
            .or_else(|| wildcard().map(|(_, rules)| rules))
            .map_or(&[], Vec::as_slice)
    }
}

/// The rules of one namespace: each level of the look-up has a set of its own.
#[derive(Clone, Debug, Default)]
struct Levels {
    /// For clients of this namespace.
    local: ByHost,
    /// For clients of others.
    exported: ByHost,
}

/// All rules, by namespace and host.
#[derive(Clone, Debug, Default)]
pub struct DestinationRules {
    namespaces: BTreeMap<String, Levels>,
    root: String,
}

impl DestinationRules {
    /// Merges them; `objects` is in Istio's order, oldest first.
    pub fn new(objects: &[Arc<Object<DestinationRule>>], domain: &str, root: &str) -> Self {
        let mut index = Self {
            root: root.to_owned(),
            ..Self::default()
        };
        for object in objects {
            let namespace = &object.meta.namespace;
            let name = host::qualify(&object.spec.host, namespace, domain);
            let export_to = scopes(object);
            let is_own = export_to.contains("*") || export_to.contains(namespace);
            let is_private = export_to.len() == 1 && export_to.contains(namespace);
            let levels = index.namespaces.entry(namespace.clone()).or_default();
            // Clients of the root namespace take its private rules before any other, and its
            // public ones last, like everyone.
            if is_own && (is_private || namespace != root) {
                levels.local.add(object, &name, &export_to);
            }
            if !is_private {
                levels.exported.add(object, &name, &export_to);
            }
        }
        for levels in index.namespaces.values_mut() {
            levels.local.sort();
            levels.exported.sort();
        }
        index
    }

    /// The rule that `client` uses for the host `name`, which is of namespace `service`.
    pub fn find<'a>(
        &'a self,
        name: &str,
        service: &str,
        client: &Client<'_>,
    ) -> Option<&'a Merged> {
        let own = client.namespace.and_then(|own| self.namespaces.get(own));
        let own = own.map_or(&[][..], |levels| levels.local.of_host(name));
        if !own.is_empty() {
            // Rules that select clients come before those that do not, whatever their age.
            let selects = |rule: &&Merged| {
                let selector = rule.selector.as_ref();
                selector.is_some_and(|found| client.has(&found.match_labels))
            };
            return own
                .iter()
                .find(selects)
                .or_else(|| own.iter().find(|rule| rule.selector.is_none()));
        }
        self.exported(service, name, client)
            .or_else(|| self.exported(&self.root, name, client))
    }

    /// All merged rules, by namespace.
    pub fn merged(&self) -> impl Iterator<Item = &Merged> {
        let levels = self.namespaces.values();
        let sets = levels.flat_map(|levels| [&levels.local, &levels.exported]);
        sets.flat_map(|rules| {
            let wildcard = rules.wildcard.iter().map(|(_, rules)| rules);
            rules.exact.values().chain(wildcard).flatten()
        })
    }

    fn exported(&self, namespace: &str, name: &str, client: &Client<'_>) -> Option<&Merged> {
        let rules = self.namespaces.get(namespace)?.exported.of_host(name);
        rules.iter().find(|rule| rule.is_visible(client.namespace))
    }

    /// Whether what is found for `name` depends on who asks.
    pub fn depends_on_client(&self, name: &str, service: &str) -> bool {
        self.namespaces.iter().any(|(namespace, levels)| {
            let local = levels.local.of_host(name);
            let exported = levels.exported.of_host(name);
            let is_public = |rule: &Merged| rule.selector.is_none() && rule.is_visible(None);
            // What everyone sees may only be one and the same rule, at whatever level.
            !local.iter().all(is_public)
                || !exported.iter().all(is_public)
                || (!local.is_empty() && namespace != service)
        })
    }
}

/// Who sees a rule. One that selects clients selects those of its own namespace only.
fn scopes(object: &Object<DestinationRule>) -> BTreeSet<String> {
    let own = &object.meta.namespace;
    let spec = &object.spec;
    if spec.workload_selector.is_some() {
        return BTreeSet::from([own.clone()]);
    }
    if spec.export_to.is_empty() {
        return BTreeSet::from(["*".to_owned()]);
    }
    let scope = |scope: &String| if scope == "." { own } else { scope }.clone();
    spec.export_to.iter().map(scope).collect()
}

/// Joins a younger rule to older ones that it agrees with, or keeps it apart.
fn merge(
    rules: &mut Vec<Merged>,
    object: &Object<DestinationRule>,
    name: &str,
    export_to: &BTreeSet<String>,
) {
    let spec = &object.spec;
    let mut is_apart = true;
    for older in rules.iter_mut() {
        if older.selector != spec.workload_selector {
            continue;
        }
        let is_same = older.export_to == *export_to;
        let is_wider = export_to.contains("*") || older.export_to.is_subset(export_to);
        if is_same || is_wider {
            join(older, object);
        }
        // One that more clients see holds for the others by itself.
        is_apart &= !is_same;
    }
    if is_apart {
        rules.push(Merged {
            from: vec![object.reference()],
            namespace: object.meta.namespace.clone(),
            host: name.to_owned(),
            export_to: export_to.clone(),
            selector: spec.workload_selector.clone(),
            subsets: spec.subsets.clone(),
            traffic_policy: spec.traffic_policy.clone(),
        });
    }
}

/// Subsets are united, the first of a name wins; the policy is that of the oldest that has one.
fn join(older: &mut Merged, object: &Object<DestinationRule>) {
    older.from.push(object.reference());
    for subset in &object.spec.subsets {
        if older.subset(&subset.name).is_none() {
            older.subsets.push(subset.clone());
        }
    }
    if older.traffic_policy.is_none() {
        older.traffic_policy.clone_from(&object.spec.traffic_policy);
    }
}
