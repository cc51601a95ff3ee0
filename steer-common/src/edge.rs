//! Connections from outside that are steered at ports of the node: the endpoint sees the client, and the
//! client the node.
//!
//! Each has two rows of `EDGE_FLOWS`, one for the packets of each way: what comes in goes to the endpoint,
//! and what the endpoint sends seems to come from the node.

use crate::{
    addr::Peer,
    parse::packet::{Packet, TCP_FIN, TCP_RST},
};

/// Key of `EDGE_FLOWS`: a packet as it comes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EdgeKey {
    /// From.
    pub source: Peer,
    /// To.
    pub target: Peer,
}

/// Value of `EDGE_FLOWS`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EdgeFlow {
    /// Nanoseconds of the monotonic clock when a packet was last seen.
    pub seen_ns: u64,
    /// Of what comes in: the endpoint. Of what goes out: the node, as the client dialled it.
    pub other: Peer,
    /// `EDGE_IN` or `EDGE_OUT`.
    pub way: u32,
    /// Of what comes in: the sequence number of the SYN. The same once more is no other connection.
    pub opened_with: u32,
    /// `EDGE_FIN` and `EDGE_RST`, as far as they were seen this way.
    pub ended: u32,
}

/// A row for what comes in.
pub const EDGE_IN: u32 = 1;
/// A row for what goes out.
pub const EDGE_OUT: u32 = 2;

/// This side has nothing more to say.
pub const EDGE_FIN: u32 = 1;
/// It is broken off.
pub const EDGE_RST: u32 = 2;

/// How long a connection counts as open on which nothing is sent: an hour.
pub const EDGE_IDLE_NS: u64 = 3_600_000_000_000;

impl EdgeKey {
    /// That of a packet.
    #[inline(always)]
    pub const fn of(packet: &Packet) -> Self {
        Self {
            source: packet.source,
            target: packet.target,
        }
    }

    /// That of answers.
    #[inline(always)]
    #[must_use]
    pub const fn answers(&self) -> Self {
        Self {
            source: self.target,
            target: self.source,
        }
    }
}

impl EdgeFlow {
    /// What a packet says of the end of its connection.
    #[inline(always)]
    pub const fn end_of(packet: &Packet) -> u32 {
        let mut ended = 0;
        if packet.flags & TCP_FIN != 0 {
            ended |= EDGE_FIN;
        }
        if packet.flags & TCP_RST != 0 {
            ended |= EDGE_RST;
        }
        ended
    }
}

/// Whether a connection is over, by what was seen of each way, and by the clock.
#[inline(always)]
pub const fn is_over(inward: &EdgeFlow, outward: &EdgeFlow, now_ns: u64) -> bool {
    let seen_ns = if inward.seen_ns > outward.seen_ns {
        inward.seen_ns
    } else {
        outward.seen_ns
    };
    (inward.ended | outward.ended) & EDGE_RST != 0
        || inward.ended & outward.ended & EDGE_FIN != 0
        || now_ns.saturating_sub(seen_ns) > EDGE_IDLE_NS
}

const _: () = assert!(size_of::<EdgeKey>() == 40 && size_of::<EdgeFlow>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(seen_ns: u64, ended: u32) -> EdgeFlow {
        EdgeFlow {
            seen_ns,
            other: Peer::default(),
            way: EDGE_IN,
            opened_with: 0,
            ended,
        }
    }

    #[test]
    fn both_must_have_ended_unless_one_breaks_it_off() {
        let over = |inward, outward| is_over(&flow(5, inward), &flow(9, outward), 10);
        assert!(!over(0, 0));
        assert!(!over(EDGE_FIN, 0));
        assert!(!over(0, EDGE_FIN));
        assert!(over(EDGE_FIN, EDGE_FIN));
        assert!(over(EDGE_RST, 0));
        assert!(over(0, EDGE_RST));
    }

    #[test]
    fn what_is_silent_for_an_hour_is_over() {
        let (early, late) = (flow(5, 0), flow(9, 0));
        assert!(!is_over(&early, &late, 9 + EDGE_IDLE_NS));
        assert!(!is_over(&late, &early, 9 + EDGE_IDLE_NS));
        assert!(is_over(&early, &late, 10 + EDGE_IDLE_NS));
    }
}
