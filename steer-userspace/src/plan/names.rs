//! Numbers for names: the kernel's rows carry numbers, listings show names.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::allocate::Slots;
use crate::{
    desired::{
        egress::model::GroupName,
        model::{PodRef, Rule},
    },
    image::{DestinationName, ServiceName},
};

/// A number and the name it was given to: a line of the names file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Name {
    /// A service port.
    Service(Arc<ServiceName>),
    /// A rule.
    Rule(Arc<Rule>),
    /// A destination.
    Destination(Arc<DestinationName>),
    /// A workload.
    Workload(Arc<PodRef>),
    /// An egress policy.
    Policy(Arc<String>),
    /// What a group of ports belongs to.
    Host(Arc<GroupName>),
}

/// What the numbers in the rows mean.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Names {
    /// Number -> service port.
    pub services: BTreeMap<u32, Arc<ServiceName>>,
    /// Number -> rule.
    pub rules: BTreeMap<u32, Arc<Rule>>,
    /// Number -> destination.
    pub destinations: BTreeMap<u32, Arc<DestinationName>>,
    /// Number -> workload.
    pub workloads: BTreeMap<u32, Arc<PodRef>>,
    /// Number -> egress policy.
    pub policies: BTreeMap<u32, Arc<String>>,
    /// Number -> what a group of ports belongs to.
    pub hosts: BTreeMap<u32, Arc<GroupName>>,
}

impl Names {
    /// Notes one name; a number that named something else names this from now on.
    pub fn learn(&mut self, number: u32, name: Name) {
        match name {
            Name::Service(name) => drop(self.services.insert(number, name)),
            Name::Rule(name) => drop(self.rules.insert(number, name)),
            Name::Destination(name) => drop(self.destinations.insert(number, name)),
            Name::Workload(name) => drop(self.workloads.insert(number, name)),
            Name::Policy(name) => drop(self.policies.insert(number, name)),
            Name::Host(name) => drop(self.hosts.insert(number, name)),
        }
    }

    /// All of them, in the order of kinds and numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Name)> + '_ {
        let services = self
            .services
            .iter()
            .map(|(&n, name)| (n, Name::Service(Arc::clone(name))));
        let rules = self
            .rules
            .iter()
            .map(|(&n, name)| (n, Name::Rule(Arc::clone(name))));
        let destinations = self
            .destinations
            .iter()
            .map(|(&n, name)| (n, Name::Destination(Arc::clone(name))));
        let workloads = self
            .workloads
            .iter()
            .map(|(&n, name)| (n, Name::Workload(Arc::clone(name))));
        let policies = self
            .policies
            .iter()
            .map(|(&n, name)| (n, Name::Policy(Arc::clone(name))));
        let hosts = self
            .hosts
            .iter()
            .map(|(&n, name)| (n, Name::Host(Arc::clone(name))));
        let routes = services.chain(rules).chain(destinations).chain(workloads);
        routes.chain(policies).chain(hosts)
    }
}

/// Numbers that are never given to another name: sockets and learned addresses remember them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lasting<T> {
    by_name: BTreeMap<Arc<T>, u32>,
    next: u32,
    fresh: Vec<(u32, Arc<T>)>,
}

impl<T: Ord> Lasting<T> {
    /// The first number that is given.
    pub(super) fn new(next: u32) -> Self {
        Self {
            by_name: BTreeMap::new(),
            next,
            fresh: Vec::new(),
        }
    }

    /// Takes over a number, whether or not it is in use.
    pub(super) fn adopt(&mut self, number: u32, name: &Arc<T>) {
        self.by_name.insert(Arc::clone(name), number);
        self.pass(number);
    }

    /// A number that was given to somebody, and is given to nobody else.
    pub(super) fn pass(&mut self, number: u32) {
        self.next = self.next.max(number.saturating_add(1));
    }

    /// The number of a name.
    pub(super) fn number(&mut self, name: &Arc<T>) -> u32 {
        if let Some(&number) = self.by_name.get(name) {
            return number;
        }
        let number = self.next;
        self.next = self.next.saturating_add(1);
        self.by_name.insert(Arc::clone(name), number);
        self.fresh.push((number, Arc::clone(name)));
        number
    }

    /// Forgets the names that `is_used` does not know, but for the last one, by which an agent
    /// that takes over sees how many numbers were given.
    pub(super) fn keep(&mut self, is_used: impl Fn(u32) -> bool) {
        let last = self.next.saturating_sub(1);
        self.by_name
            .retain(|_, &mut number| number == last || is_used(number));
    }

    /// How many names have a number.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The numbers given since this was last asked.
    pub(super) fn take_fresh(&mut self) -> Vec<(u32, Arc<T>)> {
        std::mem::take(&mut self.fresh)
    }

    /// Number -> name.
    pub(super) fn table(&self) -> BTreeMap<u32, Arc<T>> {
        self.by_name
            .iter()
            .map(|(name, &number)| (number, Arc::clone(name)))
            .collect()
    }
}

/// More names of a kind than there are in any map.
const NAMES_MAX: u32 = 1 << 22;

/// Numbers given to names of one kind. A name keeps its number while something uses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Numbers<T> {
    by_name: BTreeMap<Arc<T>, (u32, usize)>,
    slots: Slots,
    /// Given since they were last asked for.
    fresh: Vec<(u32, Arc<T>)>,
}

impl<T: Ord> Default for Numbers<T> {
    fn default() -> Self {
        // Number 0 is never given: it means unknown.
        let mut slots = Slots::new(u32::MAX);
        slots.take();
        Self {
            by_name: BTreeMap::new(),
            slots,
            fresh: Vec::new(),
        }
    }
}

impl<T: Ord> Numbers<T> {
    /// Takes over a number that is in use. False if it is in use for another name.
    pub(super) fn adopt(&mut self, number: u32, name: &Arc<T>) -> bool {
        if let Some((known, uses)) = self.by_name.get_mut(name) {
            *uses += 1;
            return *known == number;
        }
        let free = self.slots.take_at(number);
        if free {
            self.by_name.insert(Arc::clone(name), (number, 1));
        }
        free
    }

    /// A number that something has whose name is not known: it is given to nobody else, or the name of
    /// that would be taken for its own.
    pub(super) fn pass(&mut self, number: u32) {
        // The lowest are given first: what is written there by somebody else may be any number.
        if number < NAMES_MAX {
            let _taken = self.slots.take_at(number);
        }
    }

    /// The number of a name, counting one more use.
    pub(super) fn hold(&mut self, name: &Arc<T>) -> u32 {
        if let Some((number, uses)) = self.by_name.get_mut(name) {
            *uses += 1;
            return *number;
        }
        // 2^32 names do not fit into memory, let alone the maps.
        let number = self.slots.take().unwrap_or(0);
        self.by_name.insert(Arc::clone(name), (number, 1));
        self.fresh.push((number, Arc::clone(name)));
        number
    }

    /// The number of a name that is in use; 0 if it is not.
    pub(super) fn known(&self, name: &T) -> u32 {
        self.by_name.get(name).map_or(0, |(number, _)| *number)
    }

    /// One use less; a name without uses is forgotten, its number may name another.
    pub(super) fn release(&mut self, name: &T) {
        if let Some((number, uses)) = self.by_name.get_mut(name) {
            *uses = uses.saturating_sub(1);
            if *uses == 0 {
                self.slots.free(*number);
                self.by_name.remove(name);
            }
        }
    }

    /// The numbers given since this was last asked.
    pub(super) fn take_fresh(&mut self) -> Vec<(u32, Arc<T>)> {
        std::mem::take(&mut self.fresh)
    }

    /// Number -> name.
    pub(super) fn table(&self) -> BTreeMap<u32, Arc<T>> {
        self.by_name
            .iter()
            .map(|(name, &(number, _))| (number, Arc::clone(name)))
            .collect()
    }
}
