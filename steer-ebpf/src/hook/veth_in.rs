//! tcx egress at the host's side of a pod's veth: who asks the pod for an echo may have it. The pod's
//! kernel answers by itself, and no socket of the pod sees either.
//!
//! Never refuses: what comes in is not the guard's business.

use aya_ebpf::{macros::classifier, programs::TcContext};
use steer_common::parse::packet::{Echo, Packet};

use crate::core::{
    egress_maps::{Client, guard, port},
    flows::asked,
    reset::ETHERNET,
    skb::{Skb, read},
    verdict::Fate,
};

/// Frames on their way into a pod.
#[classifier]
pub fn steer_veth_in(ctx: TcContext) -> i32 {
    let skb = Skb(ctx.skb.skb);
    if guard().is_some() {
        look(skb);
    }
    Fate::Pass.tcx_literal()
}

#[inline(always)]
fn look(skb: Skb) {
    let mut packet = Packet::default();
    let read = read(skb, ETHERNET, &mut packet);
    if read.is_ok()
        && packet.echo() == Some(Echo::Request)
        && Client::behind(port(skb.interface())).judged().is_some()
    {
        asked(&packet);
    }
}
