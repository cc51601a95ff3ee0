//! Connections from outside, at ports of the node: where their packets go, and whose they seem to be.

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use steer_common::{
    addr::Peer,
    edge::{EDGE_IN, EDGE_OUT, EdgeFlow, EdgeKey, is_over},
    logic::{Decision, decide_outside},
    parse::packet::Packet,
    reason::Reason,
};

use super::{count, kernel_maps::KernelTables};
use crate::maps::EDGE_FLOWS;

/// Where what comes in goes; none leaves it to whoever listens at the node.
#[inline(always)]
pub(crate) fn inward(packet: &Packet) -> Option<Peer> {
    let key = EdgeKey::of(packet);
    if !packet.opens() {
        return follow(&key, packet, EDGE_IN);
    }
    if let Some(flow) = get(&key)
        && flow.way == EDGE_IN
    {
        // Sent once more, for no answer came in time.
        if flow.opened_with == packet.seq {
            return Some(flow.other);
        }
        forget(&key, &flow);
    }
    open(&key, packet)
}

/// Whose what goes out seems to be: the node's, as the client dialled it.
#[inline(always)]
pub(crate) fn outward(packet: &Packet) -> Option<Peer> {
    follow(&EdgeKey::of(packet), packet, EDGE_OUT)
}

/// A packet of a connection that is known.
#[inline(always)]
fn follow(key: &EdgeKey, packet: &Packet, way: u32) -> Option<Peer> {
    let flow = EDGE_FLOWS.get_ptr_mut(key)?;
    // SAFETY: a valid row. It may be another connection's by now, if the map is full: the checksum of
    // that one would not hold.
    unsafe {
        if read_volatile(addr_of_mut!((*flow).way)) != way {
            return None;
        }
        let ended = EdgeFlow::end_of(packet);
        if ended != 0 {
            let before = read_volatile(addr_of_mut!((*flow).ended));
            write_volatile(addr_of_mut!((*flow).ended), before | ended);
        }
        write_volatile(addr_of_mut!((*flow).seen_ns), bpf_ktime_get_coarse_ns());
        Some((*flow).other)
    }
}

/// A SYN: an endpoint is drawn, whatever the client's port led to before.
#[inline(always)]
fn open(key: &EdgeKey, packet: &Packet) -> Option<Peer> {
    let Decision::Steer(steered) = decide_outside(&KernelTables, &packet.target) else {
        // Not for a port that is steered. Should it be for an endpoint itself, its answers are its own.
        let _unknown = EDGE_FLOWS.remove(key.answers());
        return None;
    };
    let endpoint = steered.endpoint.peer();
    let answers = EdgeKey {
        source: endpoint,
        target: packet.source,
    };
    // SAFETY: a helper without arguments.
    let seen_ns = unsafe { bpf_ktime_get_coarse_ns() };
    if is_taken(&answers, &packet.target, seen_ns) {
        count::reason(Reason::EdgeTaken);
        return None;
    }
    let mut flow = EdgeFlow {
        seen_ns,
        other: packet.target,
        way: EDGE_OUT,
        opened_with: packet.seq,
        ended: 0,
    };
    let stored = EDGE_FLOWS.insert(answers, flow, 0).is_ok();
    flow.other = endpoint;
    flow.way = EDGE_IN;
    if !stored || EDGE_FLOWS.insert(key, flow, 0).is_err() {
        count::reason(Reason::EdgeNotStored);
        return None;
    }
    count::destination(steered.route.counters, steered.destination);
    count::reason(steered.reason);
    Some(endpoint)
}

/// Whether the endpoint has an open connection with the client's address and port, by another port of
/// the node: it could not tell the two apart.
#[inline(always)]
fn is_taken(answers: &EdgeKey, dialled: &Peer, now_ns: u64) -> bool {
    let Some(outward) = get(answers) else {
        return false;
    };
    if outward.way != EDGE_OUT || outward.other == *dialled {
        return false;
    }
    let other = EdgeKey {
        source: answers.target,
        target: outward.other,
    };
    get(&other).is_some_and(|inward| !is_over(&inward, &outward, now_ns))
}

#[inline(always)]
fn forget(key: &EdgeKey, flow: &EdgeFlow) {
    let _gone = EDGE_FLOWS.remove(key);
    let _gone = EDGE_FLOWS.remove(EdgeKey {
        source: flow.other,
        target: key.source,
    });
}

#[inline(always)]
fn get(key: &EdgeKey) -> Option<EdgeFlow> {
    let flow = EDGE_FLOWS.get_ptr(key)?;
    // SAFETY: a valid row of the map.
    Some(unsafe { *flow })
}
