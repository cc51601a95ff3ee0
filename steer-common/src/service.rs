//! Services and their routes: who dials what, and between which destinations it is split.

use crate::{
    addr::{Addr, PodAddrs, Port, Proto},
    limits::DESTINATIONS_MAX,
};

/// Number of a client class. Class 0 is everyone for whom no rule says otherwise.
pub type ClassId = u32;
/// Number of a service in the agent's names file.
pub type ServiceId = u32;
/// Number of a workload in the agent's names file; 0 is unknown.
pub type WorkloadId = u32;
/// Number of a split: which ticket counter a route draws from.
pub type SplitId = u32;
/// Number of a row of ROUTES.
pub type RowId = u32;

/// Class 0: everyone else.
pub const CLASS_ANYONE: ClassId = 0;
/// Whoever comes in from outside at a port of the node. Sockets of the node never have it: rows of it
/// are read by the programs of the uplink only.
pub const CLASS_OUTSIDE: ClassId = ClassId::MAX;

/// What was dialled, and by which class of client: SERVICES leads from it to a row of ROUTES.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ServiceKey {
    /// The client's class.
    pub class: ClassId,
    /// The service address that was dialled.
    pub addr: Addr,
    /// The service port that was dialled.
    pub port: Port,
    /// `Proto` as its number.
    pub proto: u8,
    /// Always zero.
    pub pad: u8,
}

impl ServiceKey {
    /// A key from its parts.
    #[inline(always)]
    pub const fn new(class: ClassId, addr: Addr, port: Port, proto: Proto) -> Self {
        Self {
            class,
            addr,
            port,
            proto: proto as u8,
            pad: 0,
        }
    }
}

/// How deep a route must look. The numbers are stored in the row's flags.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Depth {
    /// Decided when the socket connects.
    Connect = 0,
    /// Decided on the first bytes.
    Hello = 1,
    /// Decided on each request.
    Request = 2,
}

impl Depth {
    /// The word that listings show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Hello => "hello",
            Self::Request => "request",
        }
    }
}

/// Some class of client has a row of its own for this key: look again with the client's class.
pub const ROUTE_VARIES: u32 = 1 << 0;
/// The service is not exported to this client: leave the connection as it was dialled.
pub const ROUTE_HIDDEN: u32 = 1 << 1;
/// `sessionAffinity: ClientIP`: look for what the client was given before.
pub const ROUTE_AFFINITY: u32 = 1 << 2;
/// Only its weights need requests: while nobody looks at them, connections are split, whatever the node
/// says of rules that need more.
pub const ROUTE_AUTO: u32 = 1 << 3;
/// Where `Depth` is kept in the flags.
const DEPTH_SHIFT: u32 = 8;

/// Where the agent listens, inside of each pod, for connections whose requests are looked at.
pub const REQUEST_PORT: u16 = 15_071;
/// The addresses of these listeners: 127.64.0.0/10, and the number of the split below it.
const REQUEST_NET: u32 = 0x7f40_0000;
/// How many there are.
const REQUEST_ADDRESSES: u32 = 1 << 22;

/// The loopback address that stands for a route: for its split, which is its own for as long as it is
/// there. None if the number is too large for one.
#[inline(always)]
pub const fn request_address(split: SplitId) -> Option<[u8; 4]> {
    if split < REQUEST_ADDRESSES {
        Some((REQUEST_NET | split).to_be_bytes())
    } else {
        None
    }
}

/// One destination of a route: a contiguous range of endpoints and its weight.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Destination {
    /// First row of ENDPOINTS.
    pub first: u32,
    /// How many rows; 0 means no ready endpoint, and the connection is refused.
    pub count: u32,
    /// Weight after division by the greatest common divisor of the route's weights.
    pub weight: u32,
    /// Number of the destination (host, port, subset) in the agent's names file.
    pub subset: u32,
}

/// A row of ROUTES: immutable once published.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// Its own key: SERVICES leads here by a hash, the row says whose it is.
    pub key: ServiceKey,
    /// The service it belongs to.
    pub service: ServiceId,
    /// The ticket counter it draws from.
    pub split: SplitId,
    /// `ROUTE_*` and the depth.
    pub flags: u32,
    /// Sum of the weights; 0 means no destination at all.
    pub total: u32,
    /// Coprime to `total` and near `total`/phi.
    pub stride: u32,
    /// First row of COUNTERS; one for each destination follows.
    pub counters: u32,
    /// How many of `destinations` are in use.
    pub destination_count: u32,
    /// Seconds for which `sessionAffinity` holds after the last connection.
    pub affinity_secs: u32,
    /// The generation that published the row.
    pub generation: u32,
    /// The rule that made it, by its number in the agent's names file.
    pub rule: u32,
    /// The destinations, in the rule's order.
    pub destinations: [Destination; DESTINATIONS_MAX],
}

impl Route {
    /// Whether all bits of `flag` are set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }

    /// The depth kept in the flags; unknown bits read as the deepest, which promises least.
    pub const fn depth(&self) -> Depth {
        match (self.flags >> DEPTH_SHIFT) & 0xff {
            0 => Depth::Connect,
            1 => Depth::Hello,
            _ => Depth::Request,
        }
    }

    /// Whether that is `Depth::Request`, for the programs.
    #[inline(always)]
    pub const fn looks_at_requests(&self) -> bool {
        (self.flags >> DEPTH_SHIFT) & 0xff == Depth::Request as u32
    }

    /// The flag bits that stand for `depth`.
    pub const fn depth_bits(depth: Depth) -> u32 {
        (depth as u32) << DEPTH_SHIFT
    }

    /// The destinations in use.
    pub fn destinations(&self) -> &[Destination] {
        let count = (self.destination_count as usize).min(DESTINATIONS_MAX);
        &self.destinations[..count]
    }
}

/// A number of a network namespace, and whose it is: the low half of its cookie above.
///
/// An element of a hash map may be given to another key while a program reads it. One word, read
/// once, tells the number and that it is the reader's own.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Owned(u64);

impl Owned {
    const fn new(cookie: u64, number: u32) -> Self {
        Self(cookie << 32 | number as u64)
    }

    /// The number, if it is this namespace's.
    #[inline(always)]
    pub const fn of(self, cookie: u64) -> Option<u32> {
        if (self.0 ^ cookie << 32) >> 32 == 0 {
            Some(self.number())
        } else {
            None
        }
    }

    /// The number, whosever it is.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the high half says whose it is"
    )]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

/// A row of SOURCES: who a network namespace is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// Its class.
    pub class: Owned,
    /// Its egress policy; 0 is the node's default.
    pub policy: Owned,
    /// The workload, by its number in the agent's names file.
    pub workload: WorkloadId,
    /// The interface, by its index in this namespace, whose other end is the node's; 0 if that is
    /// not known. What comes in by another one the pod may have sent itself.
    pub interface: u32,
    /// Its addresses, as far as they are known.
    pub addrs: PodAddrs,
}

impl Source {
    /// The row of the namespace `cookie`.
    pub fn new(cookie: u64, class: ClassId, policy: u32, workload: WorkloadId) -> Self {
        Self {
            class: Owned::new(cookie, class),
            policy: Owned::new(cookie, policy),
            workload,
            interface: 0,
            addrs: PodAddrs::default(),
        }
    }

    /// With the interface whose other end is the node's.
    #[must_use]
    pub const fn behind(self, interface: u32) -> Self {
        Self { interface, ..self }
    }

    /// With its addresses.
    #[must_use]
    pub const fn at(self, addrs: PodAddrs) -> Self {
        Self { addrs, ..self }
    }
}

const _: () = assert!(size_of::<ServiceKey>() == 24 && align_of::<ServiceKey>() == 4);
const _: () = assert!(size_of::<Destination>() == 16);
const _: () = assert!(size_of::<Route>() == 64 + 16 * DESTINATIONS_MAX);
const _: () = assert!(size_of::<Source>() == 24 + 16 * crate::addr::POD_ADDRS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_a_loopback_address() {
        assert_eq!(request_address(0), Some([127, 64, 0, 0]));
        assert_eq!(request_address(0x3f_ffff), Some([127, 127, 255, 255]));
        assert_eq!(request_address(0x40_0000), None);
    }

    #[test]
    fn a_number_is_its_owners_only() {
        let source = Source::new(0x1_0000_0007, 9, u32::MAX, 1);
        assert_eq!(source.class.of(0x1_0000_0007), Some(9));
        assert_eq!(source.policy.of(0x1_0000_0007), Some(u32::MAX));
        assert_eq!(source.class.of(8), None);
        assert_eq!(source.class.number(), 9);
    }
}
