//! Who asks: the namespace and labels of a client, and which of its traits were asked for.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{export::Visibility, gateway};

/// Labels, of a workload or wanted of one.
pub type Labels = BTreeMap<String, String>;

/// A client, as rules may ask for it. It notes the questions: a port about which class 0 was asked
/// nothing looks the same to everyone, because everyone walks the same way to the first question.
#[derive(Debug)]
pub struct Client<'a> {
    namespace: Option<&'a str>,
    labels: Option<&'a Labels>,
    gateway: Option<&'a str>,
    asked: RefCell<Asked>,
}

/// What a client was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Anything that another client might have answered otherwise.
    pub anything: bool,
    /// Something that held because of its namespace.
    pub namespace: bool,
    /// Label selectors that held, as text.
    pub selectors: BTreeSet<String>,
}

impl<'a> Client<'a> {
    /// A client of which nothing is known: class 0. It answers no to every question.
    pub fn unknown() -> Self {
        Self {
            namespace: None,
            labels: None,
            gateway: None,
            asked: RefCell::default(),
        }
    }

    /// A client with these traits.
    pub fn new(namespace: Option<&'a str>, labels: &'a Labels) -> Self {
        Self {
            namespace,
            labels: Some(labels),
            gateway: None,
            asked: RefCell::default(),
        }
    }

    /// The gateway `NAMESPACE/NAME`, where traffic of outside comes in, at a door with these traits.
    pub fn at_gateway(namespace: &'a str, labels: &'a Labels, gateway: &'a str) -> Self {
        Self {
            gateway: Some(gateway),
            ..Self::new(Some(namespace), labels)
        }
    }

    /// Whether a list of gateways, as a resource of `namespace` writes it, is for it.
    pub fn is_bound(&self, gateways: &[String], namespace: &str) -> bool {
        match self.gateway {
            None => gateways.iter().any(|name| name == gateway::MESH),
            Some(own) => gateways
                .iter()
                .any(|name| gateway::full_name(name, namespace) == own),
        }
    }

    /// Whether it sees what is exported so.
    pub fn sees(&self, visibility: &Visibility) -> bool {
        match visibility {
            Visibility::Everyone => true,
            Visibility::Namespaces(_) => self.note(visibility.includes(self.namespace)),
        }
    }

    /// Whether it is of `namespace`.
    pub fn is_in(&self, namespace: &str) -> bool {
        self.note(self.namespace == Some(namespace))
    }

    /// Its namespace, if it is one of these.
    pub fn one_of<'n>(&self, namespaces: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let mut namespaces = namespaces.into_iter().peekable();
        namespaces.peek()?;
        let found = namespaces.find(|namespace| self.namespace == Some(*namespace));
        self.note(found.is_some());
        found
    }

    /// Whether it has all these labels.
    pub fn has(&self, selector: &Labels) -> bool {
        if selector.is_empty() {
            return true;
        }
        let holds = self.labels.is_some_and(|labels| contains(labels, selector));
        let mut asked = self.asked.borrow_mut();
        asked.anything = true;
        if holds {
            asked.selectors.insert(selector_text(selector));
        }
        holds
    }

    /// What it was asked since the last time; forgets it.
    pub fn take_asked(&self) -> Asked {
        self.asked.take()
    }

    /// How findings speak of it.
    pub fn description(&self) -> String {
        if let Some(gateway) = self.gateway {
            return format!("clients of the gateway {gateway}");
        }
        self.namespace.map_or_else(
            || "clients of no known namespace".to_owned(),
            |namespace| format!("clients of namespace {namespace}"),
        )
    }

    fn note(&self, holds: bool) -> bool {
        let mut asked = self.asked.borrow_mut();
        asked.anything = true;
        asked.namespace |= holds;
        holds
    }
}

/// Whether `labels` has every pair of `selector`.
pub fn contains(labels: &Labels, selector: &Labels) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// A selector as text: `app=web,tier=front`.
pub fn selector_text(selector: &Labels) -> String {
    let pairs: Vec<String> = selector
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

impl Asked {
    /// What was asked here or there.
    pub fn add(&mut self, other: &Self) {
        self.anything |= other.anything;
        self.namespace |= other.namespace;
        self.selectors.extend(other.selectors.iter().cloned());
    }
}
