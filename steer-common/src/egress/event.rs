//! EVENTS: what is reported to the agent, one record of fixed size each.

use super::policy::PolicyId;
use crate::{addr::Peer, service::WorkloadId};

/// What happened.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EventKind {
    /// Traffic was refused.
    Refused = 1,
    /// It would have been refused, but for the policy's mode.
    WouldRefuse = 2,
}

/// Where it happened.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Layer {
    /// `connect` or `sendmsg`: process and command are known.
    Socket = 1,
    /// A packet of a socket, at its cgroup.
    Cgroup = 2,
    /// A packet at the host's side of the pod's veth.
    Veth = 3,
}

/// Bytes of a name in an event.
pub const EVENT_NAME_MAX: usize = 64;

/// A record of EVENTS.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// `EventKind` as its number.
    pub kind: u32,
    /// `Reason` as its number.
    pub reason: u32,
    /// Nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The network-namespace cookie of the client; 0 if it is not known.
    pub client: u64,
    /// What it wanted to reach.
    pub peer: Peer,
    /// IANA's protocol number.
    pub proto: u32,
    /// The policy.
    pub policy: PolicyId,
    /// The workload, by its number in the agent's names file; 0 if it is not known.
    pub workload: WorkloadId,
    /// `Layer` as its number.
    pub layer: u32,
    /// The process, if the layer knows it.
    pub pid: u32,
    /// Its command, zero behind its end.
    pub comm: [u8; 16],
    /// How many bytes of `name` are used: the name in the hello or the request, if that is what was
    /// refused. Otherwise `NAMES_SEEN` has the name of the address.
    pub name_len: u32,
    /// The name, reversed.
    pub name: [u8; EVENT_NAME_MAX],
    /// Always zero.
    pub pad: u32,
}

impl Event {
    /// A record as the ring holds it; None if it has another size.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: as long as the record, which is made of integers: every content is valid.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }
}

const _: () = assert!(size_of::<Event>() == 152);
