//! What DNS last said of addresses, as the kernel has seen it.

use std::collections::BTreeMap;

use steer_common::{
    connection::Connection,
    egress::{LearnedKey, PolicyId},
};

use crate::kernel::{EgressMaps, KernelError, Pins};

/// Looks up names of addresses.
pub(super) struct Names {
    egress: EgressMaps,
    /// By the cookies of the pods' namespaces.
    policies: BTreeMap<u64, PolicyId>,
}

impl Names {
    pub(super) fn open(pins: &Pins) -> Result<Self, KernelError> {
        Ok(Self {
            egress: EgressMaps::open(pins)?,
            policies: BTreeMap::new(),
        })
    }

    /// These are the policies from now on.
    pub(super) fn follow(&mut self, policies: BTreeMap<u64, PolicyId>) {
        self.policies = policies;
    }

    /// The name of the other end of a connection, as the pod was told.
    pub(super) fn of(&self, record: &Connection) -> Option<String> {
        let policy = self.policies.get(&record.namespace).copied();
        self.egress.name_seen(&LearnedKey {
            policy: policy.unwrap_or_default(),
            addr: record.remote.addr,
        })
    }
}
