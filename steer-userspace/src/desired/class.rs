//! Client classes: pods for which the rules have the same outcome.

use std::collections::{BTreeMap, BTreeSet};

use steer_common::service::ClassId;

use super::{
    client::{Client, selects},
    model::PodRef,
};
use crate::source::Snapshot;

/// What rules may ask of a client.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Questions {
    namespaces: BTreeSet<String>,
    selectors: BTreeSet<BTreeMap<String, String>>,
}

impl Questions {
    /// Collects what the resources of a snapshot ask.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut asked = Self::default();
        for service in &snapshot.services {
            let annotation = service
                .meta
                .annotations
                .get(super::export::SERVICE_ANNOTATION);
            asked.scopes(
                &super::export::of_annotation(annotation),
                &service.meta.namespace,
            );
        }
        for found in &snapshot.virtual_services {
            let spec = &found.spec;
            asked.scopes(&spec.export_to, &found.meta.namespace);
            for one in spec.http.iter().flat_map(|rule| &rule.matches) {
                asked.source(&one.source_labels, one.source_namespace.as_ref());
            }
            for one in spec.tcp.iter().flat_map(|rule| &rule.matches) {
                asked.source(&one.source_labels, one.source_namespace.as_ref());
            }
            for one in spec.tls.iter().flat_map(|rule| &rule.matches) {
                asked.source(&one.source_labels, one.source_namespace.as_ref());
            }
        }
        for found in &snapshot.destination_rules {
            asked.scopes(&found.spec.export_to, &found.meta.namespace);
            asked.namespaces.insert(found.meta.namespace.clone());
            if let Some(selector) = &found.spec.workload_selector {
                asked.source(&selector.match_labels, None);
            }
        }
        asked
    }

    fn scopes(&mut self, scopes: &[String], own: &str) {
        for scope in scopes {
            match scope.as_str() {
                "*" | "~" => {}
                "." => drop(self.namespaces.insert(own.to_owned())),
                namespace => drop(self.namespaces.insert(namespace.to_owned())),
            }
        }
    }

    fn source(&mut self, labels: &BTreeMap<String, String>, namespace: Option<&String>) {
        if !labels.is_empty() {
            self.selectors.insert(labels.clone());
        }
        self.namespaces.extend(namespace.cloned());
    }

    /// What a client answers: as much of it as any rule can tell apart.
    pub fn answer(&self, client: &Client<'_>) -> Signature {
        Signature {
            namespace: client
                .namespace
                .filter(|own| self.namespaces.contains(*own))
                .map(str::to_owned),
            labels: self
                .selectors
                .iter()
                .filter(|selector| selects(selector, client.labels))
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

/// As much of a client as any rule can tell apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Signature {
    namespace: Option<String>,
    labels: BTreeMap<String, String>,
}

impl Signature {
    /// A client that stands for all with this signature.
    pub fn client(&self) -> Client<'_> {
        Client {
            namespace: self.namespace.as_deref(),
            labels: &self.labels,
        }
    }

    /// For listings, and the origin of the class's number.
    pub fn text(&self) -> String {
        let namespace = self
            .namespace
            .iter()
            .map(|name| format!("namespace={name}"));
        let labels = self
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        namespace.chain(labels).collect::<Vec<_>>().join(",")
    }
}

/// The signatures of the pods of this node.
pub fn signatures(
    snapshot: &Snapshot,
    asked: &Questions,
    local: &BTreeSet<PodRef>,
) -> BTreeMap<Signature, Vec<PodRef>> {
    let mut groups: BTreeMap<Signature, Vec<PodRef>> = BTreeMap::new();
    for pod in &snapshot.pods {
        let name = PodRef {
            namespace: pod.meta.namespace.clone(),
            name: pod.meta.name.clone(),
        };
        if local.contains(&name) {
            let client = Client {
                namespace: Some(&pod.meta.namespace),
                labels: &pod.meta.labels,
            };
            groups.entry(asked.answer(&client)).or_default().push(name);
        }
    }
    groups
}

/// A number for a class that depends on nothing but its text, so that it stays when other classes
/// come and go. Numbers in `taken` belong to other texts.
pub fn number(text: &str, taken: &BTreeMap<ClassId, String>) -> ClassId {
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
