//! tcx ingress at the host's side of a pod's veth: what has no socket, what comes from an address
//! that is not the pod's, and what cannot be judged. Refused TCP is answered with a reset.
//!
//! Fails closed: a frame that cannot be judged is dropped, unless the policy is open or audits.

use aya_ebpf::{macros::classifier, programs::TcContext};
use steer_common::{
    egress::{PortRow, dns::DNS_PORT},
    logic::EgressMaps as _,
    parse::packet::{Echo, Packet, TCP, TCP_RST, UDP},
    reason::Reason,
};

use crate::core::{
    count,
    egress_maps::{Client, KernelEgress, guard, port},
    flows::was_asked,
    link::{is_of_link, stays},
    packet_guard::{self, Known},
    place::Place,
    reset::{self, ETHERNET},
    skb::{Skb, read},
    verdict::Fate,
};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// Frames on their way out of a pod.
#[classifier]
pub fn steer_veth(ctx: TcContext) -> i32 {
    let skb = Skb(ctx.skb.skb);
    if guard().is_none() {
        return Fate::Pass.tcx_literal();
    }
    let port = port(skb.interface());
    let client = Client::behind(port);
    match skb.ether_type() {
        Some(IPV4 | IPV6) => judge(skb, port, &client),
        Some(ARP) => neighbour(skb, port, &client).tcx_literal(),
        Some(_) | None => match client.judged() {
            Some(generation) => Place::veth(&client, generation)
                .refuse_unread(Reason::EtherType.index())
                .tcx_literal(),
            None => Fate::Pass.tcx_literal(),
        },
    }
}

#[inline(always)]
fn judge(skb: Skb, port: Option<&PortRow>, client: &Client) -> i32 {
    let judged = client.judged();
    let place = Place::veth(client, judged.unwrap_or(0));
    let mut packet = Packet::default();
    if let Err(reason) = read(skb, ETHERNET, &mut packet) {
        return if judged.is_some() {
            place.refuse_unread(reason).tcx_literal()
        } else {
            Fate::Pass.tcx_literal()
        };
    }
    let fate = whole(&place, skb, port, judged.is_some(), &packet);
    if fate == Fate::Drop
        && packet.proto == TCP
        && packet.odd == 0
        && packet.flags & TCP_RST == 0
        && let Some(sent) = reset::answer(skb, &packet)
    {
        count::reason(Reason::ResetSent);
        return sent;
    }
    fate.tcx_literal()
}

#[inline(always)]
fn whole(
    place: &Place<'_>,
    skb: Skb,
    port: Option<&PortRow>,
    judged: bool,
    packet: &Packet,
) -> Fate {
    let bridge = port.map_or(0, |port| port.bridge);
    if is_of_link(packet) && stays(skb, packet, bridge) {
        count::reason(Reason::Neighbour);
        return Fate::Pass;
    }
    // Whatever the policy: as somebody else a pod could answer questions that others asked.
    if port.is_some_and(|port| !port.addrs.contain(&packet.source.addr)) {
        return place.refuse(
            &packet.target,
            u32::from(packet.proto),
            Reason::SourceForeign.index(),
        );
    }
    if !judged {
        return Fate::Pass;
    }
    if packet.echo() == Some(Echo::Reply) && was_asked(packet) {
        count::reason(Reason::FlowInbound);
        return Fate::Pass;
    }
    if let Some(reason) = packet.oddity() {
        return place.refuse(&packet.target, u32::from(packet.proto), reason.index());
    }
    if packet.target.port == DNS_PORT
        && matches!(packet.proto, TCP | UDP)
        && KernelEgress.is_resolver(&packet.target.addr)
    {
        count::reason(Reason::ToResolver);
        return Fate::Pass;
    }
    packet_guard::judge(place, skb, packet, Known::Counts)
}

/// ARP, from an address of the pod's own, or from none to find out whether one is taken.
#[inline(always)]
fn neighbour(skb: Skb, port: Option<&PortRow>, client: &Client) -> Fate {
    let Some(port) = port else {
        return Fate::Pass;
    };
    let mut sender = [0; 4];
    let known = skb.load(ETHERNET + 14, &mut sender);
    let addr = steer_common::Addr::from_v4_word(u32::from_ne_bytes(sender));
    if known && (port.addrs.contain(&addr) || sender == [0; 4]) {
        count::reason(Reason::Neighbour);
        return Fate::Pass;
    }
    let place = Place::veth(client, 0);
    place.refuse_unread(Reason::SourceForeign.index())
}
