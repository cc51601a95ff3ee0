//! `cgroup_skb`/egress: what sockets send without having been let through by connect, and questions
//! to resolvers.
//!
//! Fails closed: a packet that cannot be judged is dropped, unless the policy is open or audits.

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};
use steer_common::{
    egress::{Allowed, dns::DNS_PORT},
    logic::EgressMaps as _,
    parse::packet::{Packet, TCP, UDP},
    reason::Reason,
};

use crate::core::{
    allowed, count, dns,
    egress_maps::{Client, KernelEgress, guard},
    namespace,
    packet_guard::{self, Known, LOOPBACK},
    place::Place,
    skb::{Skb, read},
    verdict::Fate,
};

/// Packets on their way out of a socket.
#[cgroup_skb(egress)]
pub fn steer_skb_egress(ctx: SkBuffContext) -> i32 {
    judge(Skb(ctx.skb.skb)).cgroup_literal()
}

#[inline(always)]
fn judge(skb: Skb) -> Fate {
    if guard().is_none() {
        return Fate::Pass;
    }
    if skb.interface() == LOOPBACK {
        return Fate::Pass;
    }
    let client = Client::of(namespace::of(skb));
    let Some(generation) = client.judged() else {
        return Fate::Pass;
    };
    let place = Place::cgroup(&client, generation);
    let mut packet = Packet::default();
    if let Err(reason) = read(skb, 0, &mut packet) {
        return place.refuse_unread(reason);
    }
    if let Some(fate) = place.odd(&packet) {
        return fate;
    }
    if packet.target.port == DNS_PORT
        && matches!(packet.proto, TCP | UDP)
        && KernelEgress.is_resolver(&packet.target.addr)
    {
        dns::question(skb, &packet, &client);
        return Fate::Pass;
    }
    match mark(skb, &client, generation, &packet) {
        Mark::Valid => {
            count::reason(Reason::SocketAllowed);
            Fate::Pass
        }
        Mark::Stale => packet_guard::judge(&place, skb, &packet, Known::Forgotten),
        Mark::None => packet_guard::judge(&place, skb, &packet, Known::Counts),
    }
}

enum Mark {
    /// connect did not let this socket reach this peer.
    None,
    /// It did, and the policy has changed since. What else is known of the flow comes from the
    /// same time, or from answers.
    Stale,
    /// It did.
    Valid,
}

#[inline(always)]
fn mark(skb: Skb, client: &Client, generation: u32, packet: &Packet) -> Mark {
    let Some(Allowed {
        peer,
        policy,
        generation: then,
    }) = allowed::load(skb.socket())
    else {
        return Mark::None;
    };
    if peer != packet.target {
        Mark::None
    } else if policy == client.policy && then == generation {
        Mark::Valid
    } else {
        Mark::Stale
    }
}
