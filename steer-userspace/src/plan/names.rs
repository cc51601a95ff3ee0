//! Numbers for names: the kernel's rows carry numbers, listings show names.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::allocate::Slots;
use crate::{
    desired::model::{PodRef, Rule},
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
}

impl Names {
    /// Notes one name; a number that named something else names this from now on.
    pub fn learn(&mut self, number: u32, name: Name) {
        match name {
            Name::Service(name) => drop(self.services.insert(number, name)),
            Name::Rule(name) => drop(self.rules.insert(number, name)),
            Name::Destination(name) => drop(self.destinations.insert(number, name)),
            Name::Workload(name) => drop(self.workloads.insert(number, name)),
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
        services.chain(rules).chain(destinations).chain(workloads)
    }
}

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
