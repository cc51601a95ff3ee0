//! The egress guard over packets: what cgroup and veth have in common.

use core::ptr::{addr_of, read_volatile};

use steer_common::{
    addr::{Addr, Peer},
    egress::{Check, EventKind, Flow, FlowKey, FlowState, Layer, Mode},
    logic::{EgressMaps as _, Rule, Wish},
    parse::packet::{ICMP6, ODD_EXTENSION, Packet, TCP, UDP},
    reason::Reason,
};

use super::{
    count,
    egress_maps::{Client, KernelEgress},
    emit::{self, Report},
    judge::ruling,
    verdict::Fate,
};
use crate::maps::FLOWS;

/// The loopback interface has this index in every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// Where a packet was met, and whose it is.
pub(crate) struct Place<'a> {
    pub(crate) client: &'a Client,
    /// The policy's generation.
    pub(crate) generation: u32,
    layer: Layer,
}

impl<'a> Place<'a> {
    /// At the socket's cgroup.
    #[inline(always)]
    pub(crate) fn cgroup(client: &'a Client, generation: u32) -> Self {
        Self {
            client,
            generation,
            layer: Layer::Cgroup,
        }
    }

    /// At the host's side of the pod's veth.
    #[inline(always)]
    pub(crate) fn veth(client: &'a Client, generation: u32) -> Self {
        Self {
            client,
            generation,
            layer: Layer::Veth,
        }
    }

    /// Whether the policy only wants to know.
    #[inline(always)]
    fn audits(&self) -> bool {
        let Some(policy) = KernelEgress.policy(self.client.policy) else {
            return false;
        };
        // SAFETY: a valid row; volatile, because the agent writes it in place.
        let mode = unsafe { read_volatile(addr_of!(policy.mode)) };
        matches!(Mode::from_word(mode), Mode::Audit)
    }

    /// Refuses what the policy refuses for sure, whatever its peer.
    #[inline(always)]
    pub(crate) fn refuse(&self, peer: Peer, proto: u32, reason: u32) -> Fate {
        let audits = self.audits();
        let (kind, counted, fate) = if audits {
            (EventKind::WouldRefuse, Reason::Audited.index(), Fate::Pass)
        } else {
            (EventKind::Refused, reason, Fate::Drop)
        };
        count::number(counted);
        let report = Report {
            client: *self.client,
            peer,
            proto,
            reason,
            kind: kind as u32,
            layer: self.layer as u32,
            pad: 0,
        };
        emit::event(&report);
        fate
    }

    /// Refuses a packet that could not be read.
    #[inline(always)]
    pub(crate) fn refuse_unread(&self, reason: u32) -> Fate {
        self.refuse(Peer::default(), 0, reason)
    }

    /// What is to be done with a packet that has no ports to be judged by, if it is one: those
    /// of the link pass, fragments and the like are refused.
    #[inline(always)]
    pub(crate) fn odd(&self, packet: &Packet) -> Option<Fate> {
        if is_of_link(packet) {
            count::reason(Reason::Neighbour);
            return Some(Fate::Pass);
        }
        let reason = packet.oddity()?;
        Some(self.refuse(packet.target, u32::from(packet.proto), reason.index()))
    }
}

/// What concerns the link only: neighbour discovery, and reports of multicast listeners.
#[inline(always)]
pub(crate) fn is_of_link(packet: &Packet) -> bool {
    packet.is_neighbour() || is_listener_report(packet)
}

/// Reports of multicast listeners carry a hop-by-hop option and go to the link, not beyond: to
/// `ff02::/16`, with one hop.
#[inline(always)]
fn is_listener_report(packet: &Packet) -> bool {
    let [first, ..] = packet.target.addr.words();
    let to_link = first.to_ne_bytes()[..2] == [0xff, 0x02];
    let kind = packet.odd == ODD_EXTENSION && packet.proto == 0 || packet.proto == ICMP6;
    kind && to_link && packet.hops == 1
}

/// Whether what FLOWS knows of a connection counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Counts,
    Forgotten,
}

/// Judges a packet by what is known of its connection, and else by its peer.
#[inline(always)]
pub(crate) fn judge(place: &Place<'_>, packet: &Packet, flows: Known) -> Fate {
    let key = key(place.client, packet.proto, packet.source, packet.target);
    let connected = matches!(packet.proto, TCP | UDP);
    // A connection that is opened anew is judged anew.
    if connected
        && flows == Known::Counts
        && !packet.opens()
        && let Some(reason) = known(place.client, place.generation, &key)
    {
        count::reason(reason);
        return Fate::Pass;
    }
    let wish = Wish {
        policy: place.client.policy,
        peer: packet.target,
        proto: u32::from(packet.proto),
    };
    let ruling = ruling(&wish);
    match ruling.rule() {
        Rule::Allow => {
            count::number(ruling.reason());
            if connected && matches!(ruling.check(), Check::Address) {
                keep(place, &key);
            }
            Fate::Pass
        }
        Rule::Audit => {
            let fate = place.refuse(wish.peer, wish.proto, ruling.reason());
            if connected {
                // Reported once.
                keep(place, &key);
            }
            fate
        }
        Rule::Refuse => place.refuse(wish.peer, wish.proto, ruling.reason()),
    }
}

#[inline(always)]
fn key(client: &Client, proto: u8, local: Peer, remote: Peer) -> FlowKey {
    if proto == UDP {
        FlowKey::datagram(client.cookie, local.port, remote)
    } else {
        FlowKey::connection(local, remote, u32::from(proto))
    }
}

/// Whether the flow was let through, by a judgement that still holds.
#[inline(always)]
pub(crate) fn known(client: &Client, generation: u32, key: &FlowKey) -> Option<Reason> {
    let flow = FLOWS.get_ptr(key)?;
    // SAFETY: an element of the map, copied out at once.
    let flow = unsafe { *flow };
    match FlowState::from_word(flow.state) {
        FlowState::Inbound | FlowState::Seeded => Some(Reason::FlowInbound),
        FlowState::Outbound | FlowState::WantsSni | FlowState::WantsHost => {
            let holds = flow.policy == client.policy && flow.generation == generation;
            holds.then_some(Reason::FlowKnown)
        }
        FlowState::None | FlowState::Refused => None,
    }
}

#[inline(always)]
fn keep(place: &Place<'_>, key: &FlowKey) {
    let flow = Flow {
        state: FlowState::Outbound as u32,
        policy: place.client.policy,
        generation: place.generation,
        ..Flow::default()
    };
    // Without room the next packet is judged by its peer again.
    let _full = FLOWS.insert(key, flow, 0);
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
    let flow = Flow {
        state: FlowState::Inbound as u32,
        ..Flow::default()
    };
    let _full = FLOWS.insert(key, flow, 0);
}
