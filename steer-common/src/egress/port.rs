//! PORTS: who is behind the interface of a pod.

use super::policy::PolicyId;
use crate::{addr::Addr, service::WorkloadId};

/// Addresses of one pod: one of each family, and room for as many more.
pub const PORT_ADDRS: usize = 4;

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
    /// The addresses from which it may send; unused ones are all zero.
    pub addrs: [Addr; PORT_ADDRS],
    /// The index of the bridge that the interface is a port of; 0 if it is none.
    pub bridge: u32,
    /// Always zero.
    pub pad: u32,
}

impl PortRow {
    /// Whether the pod may send from `addr`.
    #[inline(always)]
    pub fn owns(&self, addr: &Addr) -> bool {
        let mut index = 0;
        while index < PORT_ADDRS {
            if self.addrs[index] == *addr {
                // The unspecified address fills unused places and is nobody's.
                return *addr != Addr::default();
            }
            index += 1;
        }
        false
    }
}

const _: () = assert!(size_of::<PortRow>() == 88);
