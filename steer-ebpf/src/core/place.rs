//! Where a packet was met, and how it is refused there.

use core::ptr::{addr_of, read_volatile};

use steer_common::{
    addr::Peer,
    egress::{EventKind, FlowState, Layer, Mode},
    logic::EgressMaps as _,
    parse::packet::Packet,
    reason::Reason,
};

use super::{
    count,
    egress_maps::{Client, KernelEgress},
    emit::{self, Report},
    flows::AT_VETH,
    link::is_of_link,
    verdict::Fate,
};

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

    #[inline(always)]
    pub(crate) fn is_veth(&self) -> bool {
        matches!(self.layer, Layer::Veth)
    }

    /// A state, and where it was met, in one word.
    #[inline(always)]
    pub(crate) fn state(&self, state: FlowState) -> u32 {
        if self.is_veth() {
            state as u32 | AT_VETH
        } else {
            state as u32
        }
    }

    /// Whether the policy only wants to know.
    #[inline(always)]
    pub(crate) fn audits(&self) -> bool {
        audits(self.client)
    }

    /// Refuses what the policy refuses for sure, whatever its peer.
    #[inline(always)]
    pub(crate) fn refuse(&self, peer: &Peer, proto: u32, reason: u32) -> Fate {
        if steer_refuse(self.client, peer, proto, reason, self.layer as u32) == 0 {
            Fate::Drop
        } else {
            Fate::Pass
        }
    }

    /// Refuses a packet that could not be read.
    #[inline(always)]
    pub(crate) fn refuse_unread(&self, reason: u32) -> Fate {
        self.refuse(&Peer::default(), 0, reason)
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
        Some(self.refuse(&packet.target, u32::from(packet.proto), reason.index()))
    }
}

/// Whether the policy of a client only wants to know.
#[inline(always)]
fn audits(client: &Client) -> bool {
    let Some(policy) = KernelEgress.policy(client.policy) else {
        return false;
    };
    // SAFETY: a valid row; volatile, because the agent writes it in place.
    let mode = unsafe { read_volatile(addr_of!(policy.mode)) };
    matches!(Mode::from_word(mode), Mode::Audit)
}

/// Counts and reports a refusal; not 0 if the policy only wants to know. A function of its own: the
/// stack of its callers has no room for the report.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_refuse(
    client: *const Client,
    peer: *const Peer,
    proto: u32,
    reason: u32,
    layer: u32,
) -> u32 {
    // SAFETY: null, which the verifier wants to see tested, or whole.
    let (Some(client), Some(peer)) = (unsafe { (client.as_ref(), peer.as_ref()) }) else {
        return 0;
    };
    let audits = audits(client);
    let (kind, counted) = if audits {
        (EventKind::WouldRefuse, Reason::Audited.index())
    } else {
        (EventKind::Refused, reason)
    };
    count::number(counted);
    let report = Report {
        client: *client,
        peer: *peer,
        proto,
        reason,
        kind: kind as u32,
        layer,
        pad: 0,
    };
    emit::packet(&report);
    u32::from(audits)
}
