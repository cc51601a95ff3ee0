//! The objects of a cluster as they are told, one by one -> a snapshot.
//!
//! Nothing is told before everything was listed once. An object that cannot be used is refused
//! alone: what it said before stays in force, for whoever wrote it is not who wrote the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    object::Place,
    parse::{Parsed, parse_value},
    rules::Document,
    snapshot::Snapshot,
};
use crate::finding::{Finding, Severity, codes};

mod written;

/// What is watched: a kind of objects, whole or in part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Watched {
    /// The API group; empty for Kubernetes' own first one.
    pub group: &'static str,
    /// As `kind:` spells it.
    pub kind: &'static str,
    /// How much is told of each object.
    pub depth: Depth,
}

impl Watched {
    fn what(self) -> Kind {
        (self.group, self.kind)
    }
}

/// How much a watch tells of objects. The same object may be told by two of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Depth {
    /// Names, labels and annotations.
    Metadata,
    /// The same, of kinds of which there is nothing more to say than that an object is there.
    Named,
    /// Everything. It counts where both tell.
    Whole,
}

/// Something that was told.
#[derive(Clone, Debug)]
pub enum Change {
    /// Everything there is: what is not among it is gone.
    Listed(Vec<Value>),
    /// An object is new, or otherwise than before.
    Put(Value),
    /// An object is gone.
    Gone(Value),
    /// The API server does not know the kind. What was told of it before stays.
    Unknown,
    /// It cannot be watched, and why. What was told before stays.
    Trouble(Finding),
    /// It is watched again, and there was nothing to tell.
    Recovered,
}

/// A group and a kind: two groups may have kinds of one name.
type Kind = (&'static str, &'static str);
/// An object by namespace and name.
type Key = (String, String);

/// What is known of a cluster.
#[derive(Debug, Default)]
pub struct Cluster {
    unlisted: BTreeSet<Watched>,
    objects: BTreeMap<(Kind, Key), Layers>,
    /// The rules among them as they are written.
    rules: BTreeMap<(Kind, Key), Document>,
    /// What was found in objects, and of watches.
    findings: BTreeMap<(Kind, Key), Vec<Finding>>,
    troubles: BTreeMap<Watched, Finding>,
    /// What the snapshot has otherwise, by object.
    changed: BTreeMap<(Kind, Key), Option<Parsed>>,
    found_otherwise: bool,
    snapshot: Option<Snapshot>,
}

/// An object by depth.
#[derive(Debug, Default)]
struct Layers {
    metadata: Option<Parsed>,
    whole: Option<Parsed>,
}

impl Layers {
    fn at(&mut self, depth: Depth) -> &mut Option<Parsed> {
        match depth {
            Depth::Metadata => &mut self.metadata,
            Depth::Named | Depth::Whole => &mut self.whole,
        }
    }

    fn seen(&self) -> Option<&Parsed> {
        self.whole.as_ref().or(self.metadata.as_ref())
    }
}

impl Cluster {
    /// Nothing is known yet; all of this must be listed.
    pub fn new(watched: impl IntoIterator<Item = Watched>) -> Self {
        Self {
            unlisted: watched.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What was never listed.
    pub fn unlisted(&self) -> impl Iterator<Item = Watched> + '_ {
        self.unlisted.iter().copied()
    }

    /// Why watches are not as they should be.
    pub fn troubles(&self) -> impl Iterator<Item = &Finding> {
        self.troubles.values()
    }

    /// The rules as they are written. Of an object that was refused, what it said before.
    pub fn rules(&self) -> impl Iterator<Item = &Document> {
        self.rules.values()
    }

    /// Takes what was told.
    pub fn take(&mut self, watched: Watched, change: Change) {
        if let Change::Trouble(finding) = change {
            let old = self.troubles.insert(watched, finding.clone());
            self.found_otherwise |= old != Some(finding);
            return;
        }
        self.found_otherwise |= self.troubles.remove(&watched).is_some();
        match change {
            Change::Listed(all) => {
                let listed: BTreeSet<Key> = all.iter().map(key).collect();
                all.into_iter().for_each(|value| self.put(watched, value));
                self.retain(watched, &listed);
                self.unlisted.remove(&watched);
            }
            Change::Put(value) => self.put(watched, value),
            Change::Gone(value) => self.remove(watched, key(&value)),
            Change::Unknown => {
                self.unlisted.remove(&watched);
            }
            Change::Trouble(_) | Change::Recovered => {}
        }
    }

    /// What is known now, if it is otherwise than when it was last asked; none before everything was
    /// listed once.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        if !self.unlisted.is_empty() {
            return None;
        }
        let same = self.changed.is_empty() && !self.found_otherwise;
        if self.snapshot.is_some() && same {
            return None;
        }
        self.found_otherwise = false;
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (name, old) in std::mem::take(&mut self.changed) {
            removed.extend(old);
            added.extend(self.objects.get(&name).and_then(Layers::seen).cloned());
        }
        let found = self.findings.values().flatten();
        let findings = found.chain(self.troubles.values()).cloned().collect();
        let last = self.snapshot.take().unwrap_or_default();
        let snapshot = last.replaced(removed, added, findings);
        self.snapshot = Some(snapshot.clone());
        Some(snapshot)
    }

    fn put(&mut self, watched: Watched, value: Value) {
        let key = key(&value);
        let name = (watched.what(), key.clone());
        let place = Place {
            file: format!("cluster: {} {}/{}", watched.kind, key.0, key.1).into(),
            fields: Arc::default(),
        };
        let mut findings = Vec::new();
        let document = written::document(watched, &place.file, &value);
        let parsed = parse_value(value, &place, &mut findings);
        let refused = findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        // Of metadata alone little can be wrong, and what is missing is no finding.
        if watched.depth != Depth::Metadata {
            self.found(&name, findings);
        }
        if refused {
            return;
        }
        match document.filter(|_| parsed.as_ref().is_some_and(Parsed::is_rule)) {
            Some(document) => drop(self.rules.insert(name.clone(), document)),
            None => drop(self.rules.remove(&name)),
        }
        self.replace(watched, name, parsed);
    }

    fn remove(&mut self, watched: Watched, key: Key) {
        let name = (watched.what(), key);
        if watched.depth != Depth::Metadata {
            self.found(&name, Vec::new());
            self.rules.remove(&name);
        }
        self.replace(watched, name, None);
    }

    /// Notes what is to be found in an object now.
    fn found(&mut self, name: &(Kind, Key), findings: Vec<Finding>) {
        let old = if findings.is_empty() {
            self.findings.remove(name)
        } else {
            self.findings.insert(name.clone(), findings.clone())
        };
        self.found_otherwise |= old.unwrap_or_default() != findings;
    }

    fn replace(&mut self, watched: Watched, name: (Kind, Key), parsed: Option<Parsed>) {
        let layers = self.objects.entry(name.clone()).or_default();
        let hidden = watched.depth == Depth::Metadata && layers.whole.is_some();
        let before = layers.seen().cloned();
        // What says the same stays the very object that the snapshot has.
        let same = *layers.at(watched.depth) == parsed;
        if !same {
            *layers.at(watched.depth) = parsed;
        }
        if layers.seen().is_none() {
            self.objects.remove(&name);
        }
        if !same && !hidden {
            self.changed.entry(name).or_insert(before);
        }
    }

    /// Removes what a watch did not list.
    fn retain(&mut self, watched: Watched, listed: &BTreeSet<Key>) {
        let depth = watched.depth;
        let known = |(name, layers): (&(Kind, Key), &mut Layers)| {
            let told = name.0 == watched.what() && layers.at(depth).is_some();
            (told && !listed.contains(&name.1)).then(|| name.1.clone())
        };
        let gone: Vec<Key> = self.objects.iter_mut().filter_map(known).collect();
        // Those that were never usable left findings only.
        let found = self.findings.keys().filter(|(kind, key)| {
            depth != Depth::Metadata && *kind == watched.what() && !listed.contains(key)
        });
        let found: Vec<Key> = found.map(|(_, key)| key.clone()).collect();
        gone.into_iter()
            .chain(found)
            .for_each(|key| self.remove(watched, key));
    }
}

fn key(value: &Value) -> Key {
    let text = |field: &str| {
        let found = value.pointer(field).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    (text("/metadata/namespace"), text("/metadata/name"))
}

/// A kind that cannot be watched.
pub fn trouble(watched: Watched, message: String, help: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: codes::NOT_WATCHED,
        object: None,
        position: None,
        field: String::new(),
        message: format!("{} cannot be watched: {message}", watched.kind),
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests;
