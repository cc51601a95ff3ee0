//! `cgroup_skb`/ingress: answers of resolvers are read before the pod sees them, and whoever reaches
//! a pod may be answered.
//!
//! Fails open, but for answers that nobody asked for: nothing here may keep a pod from its clients.

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};
use steer_common::{
    egress::dns::DNS_PORT,
    logic::EgressMaps as _,
    parse::packet::{Packet, TCP, UDP},
};

use crate::core::{
    dns,
    egress_maps::{Client, KernelEgress, guard},
    flows::inbound,
    namespace,
    packet_guard::LOOPBACK,
    skb::{Skb, read},
    verdict::Fate,
};

/// Packets on their way into a socket.
#[cgroup_skb(ingress)]
pub fn steer_skb_ingress(ctx: SkBuffContext) -> i32 {
    look(Skb(ctx.skb.skb)).cgroup_literal()
}

#[inline(always)]
fn look(skb: Skb) -> Fate {
    let Some(meta) = guard() else {
        return Fate::Pass;
    };
    if skb.interface() == LOOPBACK {
        return Fate::Pass;
    }
    let client = Client::of(namespace::of(skb));
    if client.judged().is_none() {
        return Fate::Pass;
    }
    // What the pod sends itself teaches nothing, and opens nothing.
    if !client.is_reached_by(skb.interface()) {
        return Fate::Pass;
    }
    let mut packet = Packet::default();
    if read(skb, 0, &mut packet).is_err() {
        return Fate::Pass;
    }
    if packet.odd != 0 || !matches!(packet.proto, TCP | UDP) {
        return Fate::Pass;
    }
    if packet.source.port == DNS_PORT && KernelEgress.is_resolver(&packet.source.addr) {
        return dns::answer(skb, &packet, &client, meta);
    }
    if packet.opens() || packet.proto == UDP {
        inbound(&client, &packet);
    }
    Fate::Pass
}
