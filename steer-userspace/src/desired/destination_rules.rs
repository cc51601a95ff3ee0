//! Which DestinationRule a client uses for a host.
//!
//! Looked up in the client's namespace, then in the service's, then in the root namespace; the
//! first level with a hit wins, and levels are not merged. Rules of one namespace for one host
//! with the same `exportTo` are merged: subsets are joined, the first definition of a name wins.

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

    fn is_visible(&self, client: &Client<'_>) -> bool {
        let scopes: Vec<&String> = self.export_to.iter().collect();
        export::is_visible(&scopes, &self.namespace, client.namespace)
    }

    fn is_private(&self) -> bool {
        self.export_to.iter().all(|scope| *scope == self.namespace) && !self.export_to.is_empty()
    }
}

/// All rules, by namespace and host.
#[derive(Clone, Debug, Default)]
pub struct DestinationRules {
    exact: BTreeMap<String, BTreeMap<String, Vec<Merged>>>,
    /// Most specific first.
    wildcard: BTreeMap<String, Vec<(String, Vec<Merged>)>>,
    root: String,
}

impl DestinationRules {
    /// Merges them; `objects` is in Istio's order, oldest first.
    pub fn new(objects: &[Arc<Object<DestinationRule>>], domain: &str, root: &str) -> Self {
        let mut index = Self {
            root: root.to_owned(),
            ..Self::default()
        };
        let mut wildcard: BTreeMap<String, BTreeMap<String, Vec<Merged>>> = BTreeMap::new();
        for object in objects {
            let namespace = &object.meta.namespace;
            let name = host::qualify(&object.spec.host, namespace, domain);
            let map = if name.starts_with('*') {
                &mut wildcard
            } else {
                &mut index.exact
            };
            let rules = map
                .entry(namespace.clone())
                .or_default()
                .entry(name.clone())
                .or_default();
            merge(rules, object, name);
        }
        for (namespace, rules) in wildcard {
            let mut rules: Vec<_> = rules.into_iter().collect();
            rules.sort_by(|(a, _), (b, _)| host::specificity(a).cmp(&host::specificity(b)));
            index.wildcard.insert(namespace, rules);
        }
        index
    }

    /// The rule that `client` uses for the host `name`, which is of namespace `service`.
    pub fn find<'a>(
        &'a self,
        name: &'a str,
        service: &str,
        client: &Client<'_>,
    ) -> Option<&'a Merged> {
        let own = client.namespace.and_then(|own| {
            let fits = |rule: &&Merged| {
                let selected = rule
                    .selector
                    .as_ref()
                    .is_none_or(|found| client.has(&found.match_labels));
                selected && (own != self.root || rule.is_private())
            };
            self.in_namespace(own, name).find(fits)
        });
        let exported = |namespace: &str| {
            // A rule that selects clients selects those of its own namespace only.
            let fits = |rule: &&Merged| rule.selector.is_none() && rule.is_visible(client);
            self.in_namespace(namespace, name).find(fits)
        };
        own.or_else(|| exported(service))
            .or_else(|| exported(&self.root))
    }

    /// Whether what is found for `name` depends on who asks.
    pub fn depends_on_client(&self, name: &str, service: &str) -> bool {
        let namespaces: BTreeSet<&String> = self.exact.keys().chain(self.wildcard.keys()).collect();
        namespaces.into_iter().any(|namespace| {
            self.in_namespace(namespace, name).any(|rule| {
                let scopes: Vec<&String> = rule.export_to.iter().collect();
                (namespace != service && *namespace != self.root)
                    || !export::is_public(&scopes)
                    || rule.selector.is_some()
                // Clients of the root namespace do not see its public rules at the first level,
                // which is the same rule they find at the last.
            })
        })
    }

    /// The rules of a namespace that cover `name`, the most specific pattern first.
    fn in_namespace<'a>(
        &'a self,
        namespace: &str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Merged> + 'a {
        let exact = self.exact.get(namespace).and_then(|rules| rules.get(name));
        let wildcard = self.wildcard.get(namespace).into_iter().flatten();
        let wildcard = wildcard.filter(move |(pattern, _)| host::covers(pattern, name));
        exact
            .into_iter()
            .flatten()
            .chain(wildcard.flat_map(|(_, rules)| rules))
    }
}

/// Joins a younger rule to an older one that it agrees with, or keeps it apart.
fn merge(rules: &mut Vec<Merged>, object: &Object<DestinationRule>, name: String) {
    let namespace = &object.meta.namespace;
    let spec = &object.spec;
    let scope = |scope: &String| {
        if scope == "." {
            namespace.clone()
        } else {
            scope.clone()
        }
    };
    let export_to: BTreeSet<String> = if spec.export_to.is_empty() {
        BTreeSet::from(["*".to_owned()])
    } else {
        spec.export_to.iter().map(scope).collect()
    };
    let older = rules.iter_mut().find(|older| {
        let wider = export_to.contains("*") || older.export_to.is_subset(&export_to);
        older.selector == spec.workload_selector && spec.workload_selector.is_none() && wider
    });
    let Some(older) = older else {
        rules.push(Merged {
            from: vec![object.reference()],
            namespace: namespace.clone(),
            host: name,
            export_to,
            selector: spec.workload_selector.clone(),
            subsets: spec.subsets.clone(),
            traffic_policy: spec.traffic_policy.clone(),
        });
        return;
    };
    older.from.push(object.reference());
    for subset in &spec.subsets {
        if older.subset(&subset.name).is_none() {
            older.subsets.push(subset.clone());
        }
    }
    if older.traffic_policy.is_none() {
        older.traffic_policy.clone_from(&spec.traffic_policy);
    }
}
