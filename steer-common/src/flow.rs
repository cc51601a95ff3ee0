//! What is remembered of a socket or a client: what was dialled, whom it was given.

use crate::{
    addr::Peer,
    service::{ServiceId, SplitId},
};

/// Socket storage ORIGIN: what a steered socket dialled and what it was given.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// What the application dialled.
    pub dialled: Peer,
    /// The endpoint it was given.
    pub endpoint: Peer,
    /// The service.
    pub service: ServiceId,
    /// The split it drew from.
    pub split: SplitId,
    /// Which destination of the route.
    pub destination: u32,
    /// The generation that decided.
    pub generation: u32,
}

/// `Origin::split` of a socket that the agent opened to send requests on.
pub const SPLIT_OF_AGENT: SplitId = SplitId::MAX;
/// `Origin::destination` of a socket that was handed to the agent: each request has its own.
pub const DESTINATION_BY_REQUEST: u32 = u32::MAX;

impl Origin {
    /// That of a socket that the agent opened: it dials endpoints, whoever else has their address.
    pub fn of_agent() -> Self {
        Self {
            dialled: Peer::default(),
            endpoint: Peer::default(),
            service: 0,
            split: SPLIT_OF_AGENT,
            destination: DESTINATION_BY_REQUEST,
            generation: 0,
        }
    }
}

/// A row of `TCP_ORIGIN`: the same of a TCP socket.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOrigin {
    /// The kernel's cookie of the socket; 0 if the row is free.
    pub socket: u64,
    /// What it dialled and was given.
    pub origin: Origin,
}

/// Key of `UDP_REPLY`: a socket that sends without connecting, and an endpoint it was sent to.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyKey {
    /// The kernel's cookie of the socket.
    pub socket: u64,
    /// Where the datagram went.
    pub endpoint: Peer,
    /// Always zero.
    pub pad: u32,
}

/// Key of AFFINITY: a client of a split. A client is its network namespace, hence its pod.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AffinityKey {
    /// The network-namespace cookie.
    pub client: u64,
    /// The split.
    pub split: SplitId,
    /// Always zero.
    pub pad: u32,
}

/// Value of AFFINITY.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affinity {
    /// Nanoseconds of the monotonic clock when it was last used.
    pub seen_ns: u64,
    /// The endpoint it was given.
    pub endpoint: Peer,
    /// Always zero.
    pub pad: u32,
}

/// Key of MEMBERS: an endpoint that a split with affinity may still be given.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MemberKey {
    /// The split.
    pub split: SplitId,
    /// The endpoint.
    pub endpoint: Peer,
}

/// Value of MEMBERS: where that endpoint stands in the route.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Row of ENDPOINTS.
    pub endpoint: u32,
    /// Index of the destination in the route.
    pub destination: u32,
}

/// What a client was given before, and where that endpoint stands now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recalled {
    /// The endpoint it was given.
    pub endpoint: Peer,
    /// Where MEMBERS says that it stands.
    pub member: Member,
}

const _: () = assert!(size_of::<Origin>() == 56 && size_of::<ReplyKey>() == 32);
const _: () = assert!(size_of::<TcpOrigin>() == 64);
const _: () = assert!(size_of::<AffinityKey>() == 16 && size_of::<Affinity>() == 32);
const _: () = assert!(size_of::<MemberKey>() == 24 && size_of::<Member>() == 8);
