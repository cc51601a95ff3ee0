//! PORTS: who is behind the interface of a pod.

use super::policy::PolicyId;
use crate::{addr::PodAddrs, service::WorkloadId};

/// A row of PORTS, by the index of the interface on the host's side of the pod's veth.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortRow {
    /// The network-namespace cookie of the pod, as events name it.
    pub client: u64,
    /// Its policy.
    pub policy: PolicyId,
    /// The workload, by its number in the agent's names file.
    pub workload: WorkloadId,
    /// The addresses from which it may send.
    pub addrs: PodAddrs,
    /// The index of the bridge that the interface is a port of; 0 if it is none.
    pub bridge: u32,
    /// Always zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<PortRow>() == 88);
