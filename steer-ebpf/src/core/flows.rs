//! FLOWS: what is known of connections, and whether it still holds.

use core::ptr::{addr_of, read_volatile};

use steer_common::{
    addr::{Addr, Peer},
    egress::{Flow, FlowKey, FlowState},
    logic::{Wish, on_port},
    parse::packet::{Packet, UDP},
    reason::Reason,
};

use super::{
    egress_maps::{Client, KernelEgress},
    place::Place,
};
use crate::maps::FLOWS;

/// Beside a state in one word: met at the veth.
pub(crate) const AT_VETH: u32 = 1 << 16;

#[inline(always)]
pub(crate) fn key(client: &Client, proto: u8, local: Peer, remote: Peer) -> FlowKey {
    if proto == UDP {
        FlowKey::datagram(client.cookie, local.port, remote)
    } else {
        FlowKey::connection(local, remote, u32::from(proto))
    }
}

/// The key of a `ping`, as the pod sees it.
#[inline(always)]
fn echo_key(packet: &Packet, local: Addr, remote: Addr) -> FlowKey {
    let port = packet.echo_port();
    FlowKey::connection(
        Peer::new(local, port),
        Peer::new(remote, port),
        u32::from(packet.proto),
    )
}

/// Notes that somebody asks for an echo.
#[inline(always)]
pub(crate) fn asked(packet: &Packet) {
    // Without room the reply is refused.
    open(&echo_key(packet, packet.target.addr, packet.source.addr));
}

/// Notes that the other side opened this.
#[inline(always)]
fn open(key: &FlowKey) {
    let flow = Flow {
        state: FlowState::Inbound as u32,
        ..Flow::default()
    };
    let _full = FLOWS.insert(key, flow, 0);
}

/// Whether a reply is to somebody who asked.
#[inline(always)]
pub(crate) fn was_asked(packet: &Packet) -> bool {
    let key = echo_key(packet, packet.source.addr, packet.target.addr);
    // SAFETY: an element of the map; one word, read once.
    let state = |flow: *const Flow| unsafe { read_volatile(addr_of!((*flow).state)) };
    FLOWS.get_ptr(key).map_or(0, state) == FlowState::Inbound as u32
}

/// What is known of a connection.
pub(crate) enum Standing {
    /// Nothing that still holds.
    Unknown,
    /// Its packets pass.
    Passes(Reason),
    /// This one carries first bytes.
    First,
    /// It was refused.
    Refused,
}

#[inline(always)]
pub(crate) fn standing(
    client: &Client,
    generation: u32,
    key: &FlowKey,
    packet: &Packet,
) -> Standing {
    let Some(flow) = FLOWS.get_ptr(key) else {
        return Standing::Unknown;
    };
    // SAFETY: an element of the map, copied out at once.
    let flow = unsafe { *flow };
    let state = FlowState::from_word(flow.state);
    if matches!(state, FlowState::Inbound | FlowState::Seeded) {
        return Standing::Passes(Reason::FlowInbound);
    }
    if flow.policy != client.policy || flow.generation != generation {
        return Standing::Unknown;
    }
    match state {
        FlowState::Outbound => {
            let offset = packet.seq.wrapping_sub(flow.first);
            if offset < flow.held && packet.carried() > 0 {
                Standing::First
            } else {
                Standing::Passes(Reason::FlowKnown)
            }
        }
        FlowState::WantsSni | FlowState::WantsHost => {
            if packet.carried() > 0 {
                Standing::First
            } else {
                Standing::Passes(Reason::FlowKnown)
            }
        }
        FlowState::Refused => Standing::Refused,
        FlowState::None | FlowState::Inbound | FlowState::Seeded => Standing::Unknown,
    }
}

/// Whether the datagrams of a port to a peer were let through, by a judgement that still holds.
#[inline(always)]
pub(crate) fn known(client: &Client, generation: u32, key: &FlowKey) -> Option<Reason> {
    match standing(client, generation, key, &Packet::default()) {
        Standing::Passes(reason) => Some(reason),
        Standing::Unknown | Standing::First | Standing::Refused => None,
    }
}

#[inline(always)]
pub(crate) fn keep(place: &Place<'_>, key: &FlowKey) {
    let _kept = set(place, key, FlowState::Outbound, u32::from(place.is_veth()));
}

#[inline(always)]
pub(crate) fn set(place: &Place<'_>, key: &FlowKey, state: FlowState, guarded: u32) -> bool {
    let flow = Flow {
        state: state as u32,
        policy: place.client.policy,
        generation: place.generation,
        guarded,
        ..Flow::default()
    };
    // Without room the next packet is judged by its peer again.
    FLOWS.insert(key, flow, 0).is_ok()
}

/// Notes that the other side opened this connection, or sent first.
#[inline(always)]
pub(crate) fn inbound(client: &Client, packet: &Packet) {
    let key = key(client, packet.proto, packet.target, packet.source);
    // A datagram may well be the answer to one of the pod's own.
    if packet.proto == UDP && FLOWS.get_ptr(key).is_some() {
        return;
    }
    if packet.source.addr == Addr::default() {
        return;
    }
    open(&key);
}

/// Whether the guard at the veth saw packets of this connection.
#[inline(always)]
pub(crate) fn is_guarded(key: &FlowKey) -> bool {
    // SAFETY: an element of the map; one word, read once.
    let guarded = |flow: *const Flow| unsafe { read_volatile(addr_of!((*flow).guarded)) };
    FLOWS.get_ptr(key).map_or(0, guarded) != 0
}

/// The number of a reason: `HelloPending` and `FlowKnown` pass. A function of its own: the stack of
/// its callers has no room for the row.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn steer_named(
    packet: *const Packet,
    wish: *const Wish,
    key: *const FlowKey,
    generation: u32,
    state: u32,
) -> u32 {
    let (state, guarded) = (state & !AT_VETH, u32::from(state & AT_VETH != 0));
    // SAFETY: null, which the verifier wants to see tested, or whole.
    let (Some(packet), Some(wish), Some(key)) =
        (unsafe { (packet.as_ref(), wish.as_ref(), key.as_ref()) })
    else {
        return Reason::HelloRewritten.index();
    };
    // Linux 6.1 takes no key that came as an argument: "R2 type=mem expected=fp, pkt, ..".
    let key = &{ *key };
    let reason = if !packet.opens() {
        if renew(key, wish, generation) {
            Reason::FlowKnown
        } else if packet.carried() == 0 {
            // An end, or an acknowledgement.
            Reason::HelloPending
        } else {
            Reason::HelloRewritten
        }
    } else if packet.carried() > 0 {
        Reason::HelloInSyn
    } else if wait(
        key,
        wish,
        generation,
        state,
        guarded,
        packet.seq.wrapping_add(1),
    ) {
        Reason::HelloPending
    } else {
        // It would pass unseen later on.
        Reason::HelloRewritten
    };
    reason.index()
}

/// Waits for the first bytes, which begin at `first`. A SYN that is sent again changes nothing.
#[inline(always)]
fn wait(key: &FlowKey, wish: &Wish, generation: u32, state: u32, guarded: u32, first: u32) -> bool {
    let again = FLOWS.get_ptr(key).is_some_and(|known| {
        // SAFETY: an element of the map, copied out at once.
        let known = unsafe { *known };
        known.state == state
            && known.first == first
            && known.policy == wish.policy
            && known.generation == generation
            && known.guarded >= guarded
    });
    let flow = Flow {
        state,
        policy: wish.policy,
        generation,
        first,
        guarded,
        ..Flow::default()
    };
    again || FLOWS.insert(key, flow, 0).is_ok()
}

/// Whether the name of a connection was accepted under an earlier generation, and still may be
/// reached. It is judged by this one from now on.
#[inline(always)]
fn renew(key: &FlowKey, wish: &Wish, generation: u32) -> bool {
    let Some(flow) = FLOWS.get_ptr(key) else {
        return false;
    };
    // SAFETY: an element of the map, copied out at once.
    let mut flow = unsafe { *flow };
    let accepted =
        flow.state == FlowState::Outbound as u32 && flow.host != 0 && flow.policy == wish.policy;
    if !accepted || on_port(&KernelEgress, wish, flow.host).is_none() {
        return false;
    }
    flow.generation = generation;
    FLOWS.insert(key, flow, 0).is_ok()
}
