//! Numbers for names: the kernel's rows carry numbers, listings show names.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use steer_common::service::ClassId;

use super::allocate::Slots;
use crate::{
    desired::model::{PodRef, Rule},
    finding::Finding,
    image::{DestinationName, ServiceName},
};

/// Numbers given to names of one kind. A name keeps its number while something uses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Numbers<T> {
    by_name: BTreeMap<Arc<T>, (u32, usize)>,
    slots: Slots,
}

impl<T: Ord> Default for Numbers<T> {
    fn default() -> Self {
        // Number 0 is never given: it means unknown.
        let mut slots = Slots::new(u32::MAX);
        slots.take();
        Self {
            by_name: BTreeMap::new(),
            slots,
        }
    }
}

impl<T: Ord> Numbers<T> {
    /// From what a names file says.
    pub fn from_table(table: &BTreeMap<u32, Arc<T>>) -> Self {
        let mut numbers = Self::default();
        for (&number, name) in table {
            if numbers.slots.take_at(number) {
                numbers.by_name.insert(Arc::clone(name), (number, 0));
            }
        }
        numbers
    }

    /// The number of a name, counting one more use.
    pub fn hold(&mut self, name: &Arc<T>) -> u32 {
        if let Some((number, uses)) = self.by_name.get_mut(name) {
            *uses += 1;
            return *number;
        }
        // 2^32 names do not fit into memory, let alone the maps.
        let number = self.slots.take().unwrap_or(0);
        self.by_name.insert(Arc::clone(name), (number, 1));
        number
    }

    /// One use less; a name without uses is forgotten, its number may name another.
    pub fn release(&mut self, name: &Arc<T>) {
        if let Some((number, uses)) = self.by_name.get_mut(name) {
            *uses = uses.saturating_sub(1);
            if *uses == 0 {
                self.slots.free(*number);
                self.by_name.remove(name);
            }
        }
    }

    /// Number -> name, as a names file keeps them.
    pub fn table(&self) -> BTreeMap<u32, Arc<T>> {
        self.by_name
            .iter()
            .map(|(name, &(number, _))| (number, Arc::clone(name)))
            .collect()
    }
}

/// The agent's names file: what the numbers in the kernel's rows mean.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    /// The layout version the numbers belong to.
    pub abi: u32,
    /// The generation they belong to.
    pub generation: u32,
    /// Number -> service port.
    pub services: BTreeMap<u32, Arc<ServiceName>>,
    /// Number -> rule.
    pub rules: BTreeMap<u32, Arc<Rule>>,
    /// Number -> destination.
    pub destinations: BTreeMap<u32, Arc<DestinationName>>,
    /// Number -> workload.
    pub workloads: BTreeMap<u32, Arc<PodRef>>,
    /// Class -> what it stands for.
    pub classes: BTreeMap<ClassId, String>,
    /// What is not enforced, or only in part, or refused.
    #[serde(skip_deserializing)]
    pub findings: Vec<Finding>,
}
