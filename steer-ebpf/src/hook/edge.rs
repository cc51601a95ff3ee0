//! tcx at the node's uplinks, both ways: connections from outside that a Gateway leads to pods of this
//! node by their addresses and ports alone. The endpoint sees the client's own address.
//!
//! Fails open: what cannot be decided goes on to the node, where the agent listens. Attached only while
//! there is such a Gateway, or a connection of it.

use aya_ebpf::{macros::classifier, programs::TcContext};
use steer_common::{
    addr::Peer,
    parse::packet::{Packet, TCP},
};

use crate::core::{
    edge,
    nat::{End, rewrite},
    reset::ETHERNET,
    skb::{Skb, read},
    verdict::Fate,
};

/// Frames that come in.
#[classifier]
pub fn steer_edge_in(ctx: TcContext) -> i32 {
    steer(Skb(ctx.skb.skb), End::Target, edge::inward)
}

/// Frames that go out.
#[classifier]
pub fn steer_edge_out(ctx: TcContext) -> i32 {
    steer(Skb(ctx.skb.skb), End::Source, edge::outward)
}

#[inline(always)]
fn steer(skb: Skb, end: End, find: impl FnOnce(&Packet) -> Option<Peer>) -> i32 {
    let mut packet = Packet::default();
    // Tagged frames come once more, at the interface of their network.
    if !matches!(skb.ether_type(), Some(0x0800 | 0x86dd))
        || read(skb, ETHERNET, &mut packet).is_err()
        || packet.proto != TCP
        || packet.odd != 0
    {
        return Fate::Pass.tcx_literal();
    }
    match find(&packet) {
        Some(to) if !rewrite(skb, ETHERNET, &packet, end, &to) => Fate::Lose.tcx_literal(),
        Some(_) | None => Fate::Pass.tcx_literal(),
    }
}
