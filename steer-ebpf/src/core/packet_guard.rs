//! The egress guard over packets: what cgroup and veth have in common.

use steer_common::{
    egress::{Check, FlowKey, FlowState},
    logic::{Rule, Wish},
    parse::packet::{Packet, TCP, TCP_RST, UDP},
    reason::Reason,
};

use super::{
    count,
    flows::{Standing, is_guarded, keep, key, set, standing, steer_named},
    hello,
    judge::ruling,
    place::Place,
    skb::Skb,
    verdict::Fate,
};

/// The loopback interface has this index in every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// Whether what FLOWS knows of a connection counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Counts,
    Forgotten,
}

/// Judges a packet by what is known of its connection, and else by its peer.
#[inline(always)]
pub(crate) fn judge(place: &Place<'_>, skb: Skb, packet: &Packet, flows: Known) -> Fate {
    let key = key(place.client, packet.proto, packet.source, packet.target);
    let connected = matches!(packet.proto, TCP | UDP);
    // A connection that is opened anew is judged anew.
    if connected && flows == Known::Counts && !packet.opens() {
        match standing(place.client, place.generation, &key, packet) {
            Standing::Passes(reason) => {
                count::reason(reason);
                return Fate::Pass;
            }
            Standing::Refused => return refused_before(place, packet, &key),
            Standing::First => return first_bytes(place, skb, packet, &key),
            Standing::Unknown => {}
        }
    }
    let wish = Wish {
        policy: place.client.policy,
        peer: packet.target,
        proto: u32::from(packet.proto),
    };
    let ruling = ruling(&wish);
    match ruling.rule() {
        Rule::Allow => {
            let state = match ruling.check() {
                Check::Address => FlowState::Outbound,
                Check::Sni => FlowState::WantsSni,
                Check::Host => FlowState::WantsHost,
            };
            if connected && state != FlowState::Outbound {
                return named(place, packet, &key, state, &wish);
            }
            count::number(ruling.reason());
            if connected {
                keep(place, &key);
            }
            Fate::Pass
        }
        Rule::Audit => {
            let fate = place.refuse(&packet.target, wish.proto, ruling.reason());
            if connected {
                // Reported once.
                keep(place, &key);
            }
            fate
        }
        Rule::Refuse => refuse_open(place, packet, &key, ruling.reason()),
    }
}

/// A packet to a port that asks for a name, of a connection of which none is known.
#[inline(always)]
fn named(place: &Place<'_>, packet: &Packet, key: &FlowKey, state: FlowState, wish: &Wish) -> Fate {
    let reason = steer_named(packet, wish, key, place.generation, place.state(state));
    if reason == Reason::HelloPending.index() || reason == Reason::FlowKnown.index() {
        count::number(reason);
        return Fate::Pass;
    }
    refuse_name(place, packet, key, reason)
}

/// A segment that carries first bytes, or some of them again.
#[inline(always)]
fn first_bytes(place: &Place<'_>, skb: Skb, packet: &Packet, key: &FlowKey) -> Fate {
    let reason = hello::look(skb, packet, place.client);
    let passes = [
        Reason::HelloPending,
        Reason::HelloAllowed,
        Reason::FlowKnown,
    ];
    if passes.iter().any(|one| one.index() == reason) {
        count::number(reason);
        return Fate::Pass;
    }
    if reason == Reason::HelloRewritten.index() {
        let fate = place.refuse(&packet.target, u32::from(packet.proto), reason);
        return if fate == Fate::Drop { Fate::Lose } else { fate };
    }
    refuse_name(place, packet, key, reason)
}

/// Refuses a packet of a connection for its peer. A connection that is open, and whose packets the
/// guard at the veth sees, is answered there.
#[inline(always)]
fn refuse_open(place: &Place<'_>, packet: &Packet, key: &FlowKey, reason: u32) -> Fate {
    let fate = place.refuse(&packet.target, u32::from(packet.proto), reason);
    let open = packet.proto == TCP && !packet.opens();
    if fate == Fate::Drop && open && !place.is_veth() && is_guarded(key) {
        return hand_over(place, key);
    }
    fate
}

/// Leaves the answer to the guard at the veth.
#[inline(always)]
fn hand_over(place: &Place<'_>, key: &FlowKey) -> Fate {
    if set(place, key, FlowState::Refused, 1) {
        Fate::Pass
    } else {
        Fate::Drop
    }
}

/// Refuses a connection for what its first bytes say.
#[inline(always)]
fn refuse_name(place: &Place<'_>, packet: &Packet, key: &FlowKey, reason: u32) -> Fate {
    let fate = place.refuse(&packet.target, u32::from(packet.proto), reason);
    if fate == Fate::Pass {
        // Reported once.
        keep(place, key);
        return fate;
    }
    if place.is_veth() {
        let _kept = set(place, key, FlowState::Refused, 1);
        return fate;
    }
    if is_guarded(key) {
        return hand_over(place, key);
    }
    let _kept = set(place, key, FlowState::Refused, 0);
    fate
}

/// A packet of a connection that was refused: it was reported then.
#[inline(always)]
fn refused_before(place: &Place<'_>, packet: &Packet, key: &FlowKey) -> Fate {
    if place.audits() {
        return Fate::Pass;
    }
    // So that whoever ends it is heard, on both sides.
    if packet.carried() == 0 && packet.flags & TCP_RST != 0 {
        return Fate::Pass;
    }
    if !place.is_veth() && is_guarded(key) {
        return Fate::Pass;
    }
    Fate::Drop
}
