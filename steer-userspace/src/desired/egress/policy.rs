//! The policy of a group of clients: parts of the registry laid over one another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    model::{Group, GroupName, Net},
    parts::Part,
};
use crate::source::{host::covers, subnet::Subnet};

/// The networks of `parts`, each saying what the wider ones say, too. Addresses in `inside` are
/// never learned.
pub(super) fn nets(parts: &[Arc<Part>], inside: &BTreeSet<Subnet>) -> BTreeMap<Subnet, Net> {
    let mut own: BTreeMap<Subnet, Vec<&Arc<Group>>> = BTreeMap::new();
    for (net, group) in parts.iter().flat_map(|part| &part.nets) {
        own.entry(*net).or_default().push(group);
    }
    for net in inside {
        own.entry(*net).or_default();
    }
    let mut joiner = Joiner::default();
    let mut found = BTreeMap::new();
    // Wider networks come before those in them.
    let mut around: Vec<(Subnet, Vec<&Arc<Group>>, bool)> = Vec::new();
    for (net, mut groups) in own {
        while around.last().is_some_and(|(wide, ..)| !wide.covers(net)) {
            around.pop();
        }
        let mut never_learned = inside.contains(&net);
        if let Some((_, wider, never)) = around.last() {
            groups.extend(wider.iter().copied());
            never_learned |= *never;
        }
        let row = Net {
            group: joiner.join(&groups),
            never_learned,
        };
        found.insert(net, row);
        around.push((net, groups, never_learned));
    }
    found
}

/// Groups that are laid over one another, each combination once.
#[derive(Default)]
struct Joiner {
    joined: BTreeMap<Vec<*const Group>, Arc<Group>>,
}

impl Joiner {
    fn join(&mut self, groups: &[&Arc<Group>]) -> Option<Arc<Group>> {
        let (first, rest) = groups.split_first()?;
        if rest.is_empty() {
            return Some(Arc::clone(first));
        }
        let mut key: Vec<*const Group> = groups.iter().map(|group| Arc::as_ptr(group)).collect();
        key.sort_unstable();
        key.dedup();
        let joined = self.joined.entry(key).or_insert_with(|| {
            let mut joined = Group::clone(first);
            rest.iter().for_each(|group| joined.add(group));
            Arc::new(Group::of_addresses(hosts(groups), joined.ports))
        });
        Some(Arc::clone(joined))
    }
}

fn hosts(groups: &[&Arc<Group>]) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for group in groups {
        match &*group.name {
            GroupName::Name(name) => drop(hosts.insert(name.clone())),
            GroupName::Addresses { hosts: some, .. } => hosts.extend(some.iter().cloned()),
        }
    }
    hosts
}

/// The names of `parts`. The longest that fits a name counts alone, so each has the ports of the
/// wildcards that it fits.
pub(super) fn names(parts: &[Arc<Part>]) -> BTreeMap<String, Arc<Group>> {
    let mut own: BTreeMap<&str, Vec<&Arc<Group>>> = BTreeMap::new();
    for part in parts {
        if let Some(group) = &part.name {
            own.entry(part.host.as_str()).or_default().push(group);
        }
    }
    let wildcards: Vec<(&str, Vec<&Arc<Group>>)> = own
        .iter()
        .filter(|(name, _)| name.starts_with('*'))
        .map(|(name, groups)| (*name, groups.clone()))
        .collect();
    let mut names = BTreeMap::new();
    for (name, groups) in own {
        let wider = wildcards
            .iter()
            .filter(|(wide, _)| *wide != name && covers(wide, name));
        let all: Vec<&Arc<Group>> = groups
            .iter()
            .copied()
            .chain(wider.flat_map(|(_, groups)| groups.iter().copied()))
            .collect();
        let group = if let [only] = all.as_slice() {
            Arc::clone(only)
        } else {
            let mut joined = Group {
                name: Arc::new(GroupName::Name(name.to_owned())),
                ports: BTreeMap::new(),
            };
            all.iter().for_each(|group| joined.add(group));
            Arc::new(joined)
        };
        names.insert(name.to_owned(), group);
    }
    names
}
