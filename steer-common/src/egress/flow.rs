//! FLOWS and HELLOS: what was decided about the packets of a connection.

use super::{host::HostId, policy::PolicyId};
use crate::addr::{Addr, Peer, Port};

/// Key of FLOWS, as the pod sends: its own side first. Of a UDP flow, the pod's side is its network
/// namespace and port (`FlowKey::datagram`), for a socket that answers from any address does not
/// know from which.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowKey {
    /// The pod.
    pub local: Peer,
    /// The other side.
    pub remote: Peer,
    /// IANA's protocol number.
    pub proto: u32,
}

/// No address ends like this: what begins with it is a namespace.
const NAMESPACE: [u32; 2] = [0xffff_fffe_u32.to_be(), 0xfeff_ffff_u32.to_be()];

impl FlowKey {
    /// Of a connection.
    #[inline(always)]
    pub const fn connection(local: Peer, remote: Peer, proto: u32) -> Self {
        Self {
            local,
            remote,
            proto,
        }
    }

    /// Of datagrams between a port of a network namespace and somebody.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    pub const fn datagram(namespace: u64, port: Port, remote: Peer) -> Self {
        let [third, fourth] = NAMESPACE;
        let words = [namespace as u32, (namespace >> 32) as u32, third, fourth];
        Self {
            local: Peer::new(Addr::from_words(words), port),
            remote,
            proto: 17,
        }
    }
}

/// How far a flow is.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FlowState {
    /// Nothing is known, or what was known no longer holds.
    None = 0,
    /// The pod opened it and the policy allowed it.
    Outbound = 1,
    /// The other side opened it: probes, clients. Not the policy's business.
    Inbound = 2,
    /// Allowed, if its first bytes carry an allowed name in a TLS hello.
    WantsSni = 3,
    /// Allowed, if its first bytes carry an allowed name in an HTTP request.
    WantsHost = 4,
    /// Its first bytes were refused.
    Refused = 5,
    /// It was there before the policy: let be until it ends.
    Seeded = 6,
}

impl FlowState {
    /// From a word of a row. What is not known counts for nothing.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        match word {
            1 => Self::Outbound,
            2 => Self::Inbound,
            3 => Self::WantsSni,
            4 => Self::WantsHost,
            5 => Self::Refused,
            6 => Self::Seeded,
            _ => Self::None,
        }
    }
}

/// A row of FLOWS.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flow {
    /// `FlowState` as its number.
    pub state: u32,
    /// Whose judgement it was.
    pub policy: PolicyId,
    /// The policy's generation then.
    pub generation: u32,
    /// Sequence number of the first byte that the pod sends, where the first bytes are looked at.
    pub first: u32,
    /// Which of HELLOS has its first bytes, counted from 1 on; 0 if nothing was sent yet.
    pub turn: u32,
    /// How many bytes may not be sent otherwise again, once the name was accepted.
    pub held: u32,
    /// The host whose name was accepted; 0 if none was asked for.
    pub host: HostId,
    /// Not 0 once the guard at the veth saw a packet of it: that one answers what is refused.
    pub guarded: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 44 && size_of::<Flow>() == 32);
